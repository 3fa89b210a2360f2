//! The configuration files of a site: Amanda's, inetd's and the name tables.

use super::{Gate, Plan, SERVER_NAME};

/// The name of the Amanda configuration.
pub(super) const CONFIG: &str = "bench";

/// The control port of every auth: service `amanda`.
pub(super) const CONTROL_PORT: u16 = 10080;

/// A TCP service that inetd answers by itself on every host: what a port scan finds without a
/// firewall.
pub const CONTROL_SERVICE: u16 = 9;

/// Where the tapes, and nothing else of Amanda's server, live.
pub(super) const TAPES: &str = "/var/lib/amanda/vtapes";

/// Virtual tapes of the library.
pub(super) const SLOTS: u32 = 4;

/// Where dumps wait for a tape.
pub(super) const HOLDING: &str = "/var/lib/amanda/holding";

/// The server's log directory.
pub(super) const LOG: &str = "/var/log/amanda/bench";

/// Where amfetchdump puts restored files.
pub(super) const RESTORED: &str = "/var/lib/amanda/restored";

/// Where Amanda's services run.
pub(super) const AMANDA_TMPDIR: &str = "/tmp/amanda";

/// The compression program of a gated disk.
pub(super) const GATE_PROGRAM: &str = "/srv/gate";

/// While it exists, gates hold dumps back.
pub(super) const GATE_CLOSED: &str = "/tmp/gate-closed";

/// A directory with a file for each gate that has held something back.
pub(super) const GATES_REACHED: &str = "/tmp/gates-reached";

/// Passes its input on, and ends no sooner than the gate is opened.
const HOLDING_GATE: &str = "#!/bin/sh
[ \"$1\" = -d ] && exec cat
cat
[ -e /tmp/gate-closed ] || exit 0
: > /tmp/gates-reached/$$
while [ -e /tmp/gate-closed ]; do sleep 0.1; done
";

/// Passes its input on, and no more than a block at a time before the gate is opened: as much as
/// sendbackup collects before it sends.
const DRIPPING_GATE: &str = "#!/bin/sh
[ \"$1\" = -d ] && exec cat
: > /tmp/gates-reached/$$
while [ -e /tmp/gate-closed ]; do
  dd bs=32k count=1 iflag=fullblock 2>/dev/null
  sleep 0.5
done
exec cat
";

/// The tar that Amanda runs.
pub(super) const GNUTAR: &str = "/usr/bin/tar";

/// Where the real tar is on a client with [`HELD_TAR`] in its place.
pub(super) const REAL_TAR: &str = "/srv/tar";

/// While it exists, estimates wait.
pub(super) const ESTIMATES_HELD: &str = "/tmp/estimates-held";

/// Exists since an estimate has begun to wait.
pub(super) const ESTIMATE_REACHED: &str = "/tmp/estimate-reached";

/// Does what tar does, but what is not meant to be kept, as in an estimate, only once it may.
pub(super) const HELD_TAR: &str = "#!/bin/sh
case \" $* \" in
*' /dev/null '*)
  : > /tmp/estimate-reached
  while [ -e /tmp/estimates-held ]; do sleep 0.1; done
  ;;
esac
exec /srv/tar \"$@\"
";

/// The service that restores a disk for the server.
pub(super) const RESTORE: &str = "/usr/lib/amanda/restore";

/// Where the real service is on a client with [`MENDED_RESTORE`] in its place.
pub(super) const REAL_RESTORE: &str = "/srv/restore";

/// Keeps open what the real service closes: the way back on streams that it only reads. amandad
/// of Amanda 3.5.1 takes the end of one way for the end of the stream (Restore.pm opens DATA and
/// STATE for reading alone).
pub(super) const MENDED_RESTORE: &str = "#!/bin/sh
exec 9<&0
/srv/restore \"$@\" <&9 9<&- &
exec <&- 9<&- >&-
wait $!
";

/// For how long the server waits for one estimate, in seconds.
const ESTIMATE_PATIENCE: u32 = 60;

/// The same where estimates are held: longer than the kernel's helper waits for a reply.
const HELD_ESTIMATE_PATIENCE: u32 = 500;

/// Returns the program of the gates.
pub(super) fn gate(gate: Gate) -> &'static str {
    match gate {
        Gate::HoldsEnd => HOLDING_GATE,
        Gate::Drips => DRIPPING_GATE,
    }
}

/// Debian's ports for Amanda, in amanda.conf and in amanda-client.conf.
const PORTS: &str = "\
reserved-udp-port 840,860
unreserved-tcp-port 50000,50100
";

/// What amoldrecover asks, by their names in /etc/services.
const CLASSIC: &str = "\
amandaidx stream tcp nowait backup /usr/lib/amanda/amindexd amindexd
amidxtape stream tcp nowait backup /srv/amidxtaped amidxtaped
";

/// Amanda's tape server, and the host's own copy of it.
pub(super) const TAPE_SERVER: [&str; 2] = ["/usr/lib/amanda/amidxtaped", "/srv/amidxtaped"];

/// Where the copy's main program begins.
pub(super) const TAPE_SERVER_MAIN: &str = "our $exit_status = 0;";

/// Has the copy do what amoldrecover can: of 3.5.1, it says that it can do all that amrecover does,
/// and sends labels in quotation marks, so that it recovers nothing, without any firewall either.
pub(super) const OLD_CLIENT: &str = r#"
{
    no strict 'refs';
    no warnings 'redefine';
    my $from_string = \&Amanda::Feature::Set::from_string;
    *Amanda::Feature::Set::from_string = sub {
        my $features = $from_string->(@_);
        for my $done (qw(header_send_size header_ready header_done state_send state_ready
                         state_done data_send data_ready data_done stream_state message
                         receive_unfiltered data_status data_crc)) {
            $features->remove(${"Amanda::Feature::fe_amrecover_$done"});
        }
        $features->remove($Amanda::Feature::fe_amidxtaped_dar);
        $features->remove($Amanda::Feature::fe_amidxtaped_datapath);
        return $features;
    };
    my $unmarshal = \&Amanda::Util::unmarshal_tapespec;
    *Amanda::Util::unmarshal_tapespec = sub {
        my ($with_storage, $label) = @_;
        $label =~ s/^"(.*)"$/$1/;
        return $unmarshal->($with_storage, $label);
    };
}
"#;

/// Writes /etc/services with the UDP line that Debian's lacks; without it the server sends to a
/// port of chance.
pub(super) fn services() -> String {
    format!(
        "amanda {CONTROL_PORT}/tcp\namanda {CONTROL_PORT}/udp\n\
         discard {CONTROL_SERVICE}/tcp\namandaidx 10082/tcp\namidxtape 10083/tcp\n"
    )
}

pub(super) fn inetd(plan: &Plan) -> String {
    let auth = plan.auth.name();
    let socket = plan.auth.inetd_socket();
    let classic = if plan.classic { CLASSIC } else { "" };
    format!(
        "{CONTROL_PORT} {socket} backup /usr/lib/amanda/amandad \
         amandad -auth={auth} amdump amindexd amidxtaped restore\n\
         discard stream tcp nowait root internal\n{classic}"
    )
}

/// Writes .amandahosts: who may use which services, for all hosts.
pub(super) fn amandahosts(clients: &[&str]) -> String {
    let clients = clients.iter().map(|name| format!("{name} root amindexd amidxtaped\n"));
    [format!("{SERVER_NAME} backup amdump restore\n")].into_iter().chain(clients).collect()
}

pub(super) fn amanda_client_conf(plan: &Plan) -> String {
    let auth = plan.auth.name();
    format!(
        "conf \"{CONFIG}\"\nindex_server \"{SERVER_NAME}\"\ntape_server \"{SERVER_NAME}\"\n\
         auth \"{auth}\"\nclient-port \"{CONTROL_PORT}\"\n{PORTS}"
    )
}

pub(super) fn disklist(clients: &[&str], plan: &Plan) -> String {
    let of_type = |disks: Vec<String>, dumptype: &str| -> String {
        let line = |name, disk| format!("{name} {disk} {dumptype}\n");
        clients.iter().flat_map(|name| disks.iter().map(move |disk| line(name, disk))).collect()
    };
    [of_type(plan.disks(), "plain"), of_type(plan.gated_disks(), "gated")].concat()
}

pub(super) fn amanda_conf(plan: &Plan) -> String {
    let auth = plan.auth.name();
    let index = if plan.index { "yes" } else { "no" };
    let holding = if plan.holding_disk { "holdingdisk hd\n" } else { "" };
    let patience = if plan.held_estimates { HELD_ESTIMATE_PATIENCE } else { ESTIMATE_PATIENCE };
    format!(
        r#"org "bench"
mailto ""
dumpuser "backup"
infofile "/var/lib/amanda/info"
indexdir "/var/lib/amanda/index"
logdir "{LOG}"
tapedev "chg-disk:{TAPES}"
autolabel "BENCH-%%%" any
labelstr "BENCH-[0-9]*"
tapetype vtape
tapecycle 3
runtapes 1
dumpcycle 0
inparallel 4
maxdumps 4
netusage 80000 kbps
ctimeout 30
etimeout {patience}
dtimeout 300
{PORTS}
define tapetype vtape {{
  length 500 mbytes
}}
define holdingdisk hd {{
  directory "{HOLDING}"
  use 500 mbytes
}}
{holding}
define dumptype plain {{
  auth "{auth}"
  client-port "{CONTROL_PORT}"
  program "GNUTAR"
  compress none
  index {index}
}}
define dumptype gated {{
  plain
  compress client custom
  client-custom-compress "{GATE_PROGRAM}"
}}
"#
    )
}
