# amanda
$IPT -A tcp_inbound -p TCP -s 0/0 --destination-port 10082:10083 -j LOG \
       --log-prefix "amanda high: "
$IPT -A tcp_inbound -p TCP -s 0/0 --destination-port 10082:10083 -j ACCEPT
$IPT -A tcp_inbound -p TCP -s 0/0 --destination-port 1100:1150 -j LOG \
       --log-prefix "amanda low: "
$IPT -A tcp_inbound -p TCP -s 0/0 --destination-port 1100:1150 -j ACCEPT
