#!/bin/sh
# A firewall of a backup server, as people write them.
IPTABLES=/sbin/iptables
LAN="192.168.2.0/24"
CLIENTS="192.168.2.3 192.168.2.4"
WAN=$(ip route get 1.1.1.1 | cut -d' ' -f5)

modprobe ip_conntrack_amanda
$IPTABLES -A INPUT -p tcp --dport 9999 -j ACCEPT
$IPTABLES -F
$IPTABLES -P INPUT DROP
$IPTABLES -P OUTPUT DROP
$IPTABLES -N out_log

$IPTABLES -A INPUT -i lo -j ACCEPT
$IPTABLES -A OUTPUT -o lo -j ACCEPT
$IPTABLES -A INPUT -m state --state ESTABLISHED,RELATED -j ACCEPT
$IPTABLES -A OUTPUT -m state --state ESTABLISHED,RELATED -j ACCEPT
$IPTABLES -A INPUT -p tcp ! --syn -j ACCEPT      # an old way to say established
for client in $CLIENTS; do
  $IPTABLES -A OUTPUT -p udp -d $client --dport 10080 -j ACCEPT
done
$IPTABLES -A OUTPUT -p udp -d 192.168.2.0/255.255.255.0 --sport 700:710 --dport amanda -j ACCEPT
$IPTABLES -A OUTPUT -p tcp -d $LAN --dport 50000:50100 -j ACCEPT
$IPTABLES -A INPUT -i $WAN -p tcp --dport 80 -j ACCEPT
$IPTABLES -A INPUT -p tcp -s "$LAN" --dport ssh -m state --state NEW -m limit --limit 3/minute -j ACCEPT
$IPTABLES -A INPUT -s "$LAN" -p icmp --icmp-type ping -j ACCEPT
$IPTABLES -I INPUT 1 -s 10.66.0.0/16 -j DROP
$IPTABLES -A INPUT -p udp -m multiport --ports 137,138 -j DROP
$IPTABLES -A OUTPUT -j out_log
$IPTABLES -A out_log -d 192.168.2.0/24 -j RETURN
$IPTABLES -A out_log -j LOG --log-prefix "OUT: "
$IPTABLES -A OUTPUT -p udp -m multiport --dports domain,ntp -j ACCEPT
$IPTABLES -D INPUT -p tcp --dport 1234 -j ACCEPT
