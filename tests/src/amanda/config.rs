//! The configuration files of a site: Amanda's, inetd's and the name tables.

use super::{CLIENT, CLIENT_NAME, Plan, SERVER, SERVER_NAME};

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

/// The compression program of a gated disk.
pub(super) const GATE_PROGRAM: &str = "/srv/gate";

/// While it exists, the gate holds back the end of the gated dump.
pub(super) const GATE_CLOSED: &str = "/tmp/gate-closed";

/// Exists since the gate has held something back.
pub(super) const GATE_REACHED: &str = "/tmp/gate-reached";

/// Passes its input on, and ends no sooner than the gate is opened.
pub(super) const GATE: &str = "#!/bin/sh
[ \"$1\" = -d ] && exec cat
cat
[ -e /tmp/gate-closed ] || exit 0
: > /tmp/gate-reached
while [ -e /tmp/gate-closed ]; do sleep 0.1; done
";

/// Debian's ports for Amanda, in amanda.conf and in amanda-client.conf.
const PORTS: &str = "\
reserved-udp-port 840,860
unreserved-tcp-port 50000,50100
";

pub(super) fn hosts() -> String {
    format!("127.0.0.1 localhost\n{SERVER} {SERVER_NAME}\n{CLIENT} {CLIENT_NAME}\n")
}

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
    format!(
        "{CONTROL_PORT} {socket} backup /usr/lib/amanda/amandad \
         amandad -auth={auth} amdump amindexd amidxtaped\n\
         discard stream tcp nowait root internal\n"
    )
}

/// Writes .amandahosts: who may use which services, for both hosts.
pub(super) fn amandahosts() -> String {
    format!("{SERVER_NAME} backup amdump\n{CLIENT_NAME} root amindexd amidxtaped\n")
}

pub(super) fn amanda_client_conf(plan: &Plan) -> String {
    let auth = plan.auth.name();
    format!(
        "conf \"{CONFIG}\"\nindex_server \"{SERVER_NAME}\"\ntape_server \"{SERVER_NAME}\"\n\
         auth \"{auth}\"\nclient-port \"{CONTROL_PORT}\"\n{PORTS}"
    )
}

pub(super) fn disklist(plan: &Plan) -> String {
    let plain = plan.disks().into_iter().map(|disk| format!("{CLIENT_NAME} {disk} plain\n"));
    let gated = plan.gated_disk().map(|disk| format!("{CLIENT_NAME} {disk} gated\n"));
    plain.chain(gated).collect()
}

pub(super) fn amanda_conf(plan: &Plan) -> String {
    let auth = plan.auth.name();
    let index = if plan.index { "yes" } else { "no" };
    let holding = if plan.holding_disk { "holdingdisk hd\n" } else { "" };
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
etimeout 60
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
