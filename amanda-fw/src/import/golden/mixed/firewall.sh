# Both families in one script, several commands in a line, a circle of chains.
FW=/sbin/ip6tables
iptables -P INPUT DROP
[ -x $FW ] && $FW -P INPUT ACCEPT; $FW -A INPUT -p tcp --dport 23 -j DROP
$OTHER -A INPUT -p tcp --dport 23 -j ACCEPT
iptables -N loop; iptables -A loop -s 10.0.0.0/8 -j loop; iptables -A loop -j loop
iptables -A INPUT -p udp --dport 5000 -j loop
iptables -A INPUT -s 192.168.2.9 -j DROP
iptables -A INPUT -s 192.168.2.0/24 -p udp --dport 10080 -j LOG --log-prefix "amanda: "
iptables -A INPUT -s 192.168.2.0/24 -p udp --dport 10080 -j ACCEPT
iptables -A INPUT -p tcp --dport 8000 -m hashlimit --hashlimit-above 9/min --hashlimit-mode srcip --hashlimit-name a -j DROP
iptables -A INPUT -p tcp --dport 8001 -j ACCEPT
iptables -A INPUT -i lo -s 10.1.1.1 -j DROP
iptables -A INPUT -m state --state ESTABLISHED -s 10.1.1.1 -j DROP
iptables -A INPUT -m limit --limit 1/s -j DROP
iptables -A INPUT -s 192.168.0.0/16 -p tcp --dport 50000:50100 -j ACCEPT
iptables -A INPUT -s 192.168.2.128/25 -p tcp --dport 50000:50100 -j ACCEPT
iptables -A INPUT -p icmp ! --icmp-type 8 -j ACCEPT
iptables -A INPUT -i 7 -p 47 -j ACCEPT
iptables -A INPUT -m conntrack --ctstate UNTRACKED -j ACCEPT
