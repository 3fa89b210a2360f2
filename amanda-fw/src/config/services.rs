//! Ready-made services, by the names and with the ports that firewalld gives them.

use amanda_fw_common::addr::Network;
use amanda_fw_common::connect::PortRange;

use super::{network, protocol};

/// What belongs to a service: ports with their protocols, protocols without ports, and
/// destinations; a semicolon begins what has other destinations.
const SERVICES: &[(&str, &str)] = &[
    ("afp", "548/tcp"),
    ("amanda-client", "10080/udp 10080/tcp"),
    ("amanda-k5-client", "10082/tcp"),
    ("amqp", "5672/tcp"),
    ("amqps", "5671/tcp"),
    ("apcupsd", "3551/tcp"),
    ("audit", "60/tcp"),
    ("bacula", "9101:9103/tcp"),
    ("bacula-client", "9102/tcp"),
    ("bareos-director", "9101/tcp"),
    ("bareos-filedaemon", "9102/tcp"),
    ("bareos-storage", "9103/tcp"),
    ("bgp", "179/tcp"),
    ("ceph", "6800:7300/tcp"),
    ("ceph-mon", "3300/tcp 6789/tcp"),
    ("checkmk-agent", "6556/tcp"),
    ("cockpit", "9090/tcp"),
    ("collectd", "25826/udp"),
    ("ctdb", "4379/tcp 4379/udp"),
    ("dhcp", "67/udp"),
    ("dhcpv6", "547/udp"),
    ("dhcpv6-client", "546/udp fe80::/64"),
    ("distcc", "3632/tcp"),
    ("dns", "53/tcp 53/udp"),
    ("dns-over-tls", "853/tcp"),
    ("docker-registry", "5000/tcp"),
    ("docker-swarm", "2377/tcp 7946/tcp 7946/udp 4789/udp esp"),
    ("elasticsearch", "9300/tcp 9200/tcp"),
    ("etcd-client", "2379/tcp"),
    ("etcd-server", "2380/tcp"),
    ("finger", "79/tcp"),
    ("ftp", "21/tcp"),
    ("git", "9418/tcp"),
    ("gpsd", "2947/tcp"),
    ("grafana", "3000/tcp"),
    ("gre", "gre"),
    ("http", "80/tcp"),
    ("http3", "443/udp"),
    ("https", "443/tcp"),
    ("ident", "113/tcp"),
    ("imap", "143/tcp"),
    ("imaps", "993/tcp"),
    ("ipp", "631/tcp 631/udp"),
    ("ipp-client", "631/udp"),
    ("ipsec", "ah esp 500/udp 4500/udp 4500/tcp"),
    ("irc", "6667/tcp"),
    ("ircs", "6697/tcp"),
    ("iscsi-target", "3260/tcp 3260/udp"),
    ("isns", "3205/tcp 3205/udp"),
    ("jenkins", "8080/tcp"),
    ("kadmin", "749/tcp"),
    ("kerberos", "88/tcp 88/udp"),
    ("kibana", "5601/tcp"),
    ("klogin", "543/tcp"),
    ("kpasswd", "464/tcp 464/udp"),
    ("kprop", "754/tcp"),
    ("kshell", "544/tcp"),
    ("ldap", "389/tcp"),
    ("ldaps", "636/tcp"),
    ("libvirt", "16509/tcp"),
    ("libvirt-tls", "16514/tcp"),
    ("llmnr", "5355/tcp; 5355/udp 224.0.0.252 ff02::1:3"),
    ("llmnr-tcp", "5355/tcp"),
    ("llmnr-udp", "5355/udp 224.0.0.252 ff02::1:3"),
    ("managesieve", "4190/tcp"),
    ("mdns", "5353/udp 224.0.0.251 ff02::fb"),
    ("memcache", "11211/tcp 11211/udp"),
    ("mongodb", "27017/tcp"),
    ("mosh", "60000:61000/udp"),
    ("mountd", "20048/tcp 20048/udp"),
    ("mqtt", "1883/tcp"),
    ("mqtt-tls", "8883/tcp"),
    ("mssql", "1433/tcp"),
    ("mysql", "3306/tcp"),
    ("nbd", "10809/tcp"),
    ("netbios-ns", "137/udp"),
    ("netdata-dashboard", "19999/tcp"),
    ("nfs", "2049/tcp"),
    ("nfs3", "2049/tcp 2049/udp"),
    ("nrpe", "5666/tcp"),
    ("ntp", "123/udp"),
    ("nut", "3493/tcp"),
    ("openvpn", "1194/udp"),
    ("pmcd", "44321/tcp"),
    ("pop3", "110/tcp"),
    ("pop3s", "995/tcp"),
    ("postgresql", "5432/tcp"),
    ("prometheus", "9090/tcp"),
    ("prometheus-node-exporter", "9100/tcp"),
    ("proxy-dhcp", "4011/udp"),
    ("ptp", "319/udp 320/udp"),
    ("puppetmaster", "8140/tcp"),
    ("radius", "1812/tcp 1812/udp 1813/tcp 1813/udp"),
    ("rdp", "3389/tcp"),
    ("redis", "6379/tcp"),
    ("redis-sentinel", "26379/tcp"),
    ("rpc-bind", "111/tcp 111/udp"),
    ("rquotad", "875/tcp 875/udp"),
    ("rsh", "514/tcp"),
    ("rsyncd", "873/tcp 873/udp"),
    ("rtsp", "554/tcp 554/udp"),
    ("salt-master", "4505:4506/tcp"),
    ("samba", "137:138/udp 139/tcp 445/tcp"),
    ("samba-client", "137:138/udp"),
    ("sane", "6566/tcp"),
    ("sip", "5060/tcp 5060/udp"),
    ("sips", "5061/tcp 5061/udp"),
    ("slp", "427/tcp 427/udp"),
    ("smtp", "25/tcp"),
    ("smtp-submission", "587/tcp"),
    ("smtps", "465/tcp"),
    ("snmp", "161/tcp 161/udp"),
    ("snmptrap", "162/tcp 162/udp"),
    ("squid", "3128/tcp"),
    ("ssdp", "1900/udp 239.255.255.250 ff02::c"),
    ("ssh", "22/tcp"),
    ("svn", "3690/tcp"),
    ("syncthing", "22000/tcp 22000/udp 21027/udp"),
    ("syslog", "514/udp"),
    ("syslog-tls", "6514/tcp 6514/udp"),
    ("telnet", "23/tcp"),
    ("tftp", "69/udp"),
    ("vnc-server", "5900:5903/tcp"),
    ("vrrp", "vrrp"),
    ("wbem-http", "5988/tcp"),
    ("wbem-https", "5989/tcp"),
    ("wireguard", "51820/udp"),
    ("wsman", "5985/tcp"),
    ("wsmans", "5986/tcp"),
    ("xdmcp", "177/tcp 177/udp"),
    ("xmpp-client", "5222/tcp"),
    ("xmpp-server", "5269/tcp"),
    ("zabbix-agent", "10050/tcp"),
    ("zabbix-server", "10051/tcp"),
    ("zerotier", "9993/udp"),
];

/// Ports of one protocol, of none where it has none.
pub(super) type Ports = (u8, Option<PortRange>);

/// A part of a service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Part {
    /// Protocols and ports.
    pub(super) ports: Vec<Ports>,
    /// Where packets must go, empty for anywhere.
    pub(super) to: Vec<Network>,
}

/// Lists the services with what belongs to them, as it is written above.
pub(crate) fn all() -> &'static [(&'static str, &'static str)] {
    SERVICES
}

/// Lists the names of the services.
pub(super) fn names() -> Vec<String> {
    SERVICES.iter().map(|(name, _)| (*name).to_owned()).collect()
}

/// Finds a service.
pub(super) fn find(name: &str) -> Option<Vec<Part>> {
    let (_, parts) = SERVICES.iter().find(|(known, _)| *known == name)?;
    parts.split(';').map(part).collect()
}

fn part(text: &str) -> Option<Part> {
    let mut part = Part::default();
    for word in text.split_whitespace() {
        match ports(word) {
            Some(ports) => part.ports.push(ports),
            None => part.to.push(network::parse(word).ok()?),
        }
    }
    Some(part)
}

fn ports(word: &str) -> Option<Ports> {
    let Some((ports, protocol)) = word.rsplit_once('/') else {
        return Some((protocol::by_name(word)?, None));
    };
    let (low, high) = ports.split_once(':').unwrap_or((ports, ports));
    let range = PortRange { low: low.parse().ok()?, high: high.parse().ok()? };
    Some((protocol::by_name(protocol)?, Some(range)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, ports: &[(u8, u16, u16)], to: &[&str]) {
        let parts = find(name).expect("a service");
        let part = parts.last().expect("a part");
        let range = |&(_, range): &Ports| range.map_or((0, 0), |range| (range.low, range.high));
        let found: Vec<_> = part.ports.iter().map(|p| (p.0, range(p).0, range(p).1)).collect();
        assert_eq!(found, ports);
        assert_eq!(part.to.iter().map(network::display).collect::<Vec<_>>(), to);
    }

    #[test]
    fn services_have_firewalld_s_ports() {
        check("amanda-client", &[(17, 10080, 10080), (6, 10080, 10080)], &[]);
        check("bacula", &[(6, 9101, 9103)], &[]);
        check("gre", &[(47, 0, 0)], &[]);
        check("dhcpv6-client", &[(17, 546, 546)], &["fe80::/64"]);
        check("llmnr", &[(17, 5355, 5355)], &["224.0.0.252", "ff02::1:3"]);
    }

    #[test]
    fn every_service_can_be_read_and_stands_once_in_order() {
        for (name, text) in SERVICES {
            let parts = find(name).unwrap_or_else(|| panic!("{name}: {text}"));
            assert!(parts.iter().all(|part| !part.ports.is_empty()), "{name}");
        }
        assert!(SERVICES.is_sorted_by(|(a, _), (b, _)| a < b));
    }
}
