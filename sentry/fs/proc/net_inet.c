/* /proc/PID/net: the tables of the Internet protocols. */
#include "sentry/fs/proc/proc_net.h"

#include "sentry/kernel/kernel.h"
#include "sentry/net/inet/list.h"

#include <string.h>

static struct inet_ns *ns_of(struct ctx *c)
{
	return c->kernel->netns->inet;
}

static u64 counter(struct ctx *c, enum inet_counter which)
{
	return atomic_load_explicit(&ns_of(c)->counters[which], memory_order_relaxed);
}
#define N(name) ((unsigned long long)counter(c, INET_##name))

static void line(const char *s, void *t)
{
	text_printf(t, "%s\n", s);
}

#define TCP4_HEADER                                                                          \
	"  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid " \
	" timeout inode"
#define INET6_HEADER(sl)                                                        \
	"  " sl "  local_address                         remote_address       " \
	"                 st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode"

PROC_SHOW(proc_net_tcp)
{
	text_printf(t, "%-149s\n", TCP4_HEADER);
	inet_list(ns_of(c), INET_TCP, AF_INET, line, t);
	return 0;
}

PROC_SHOW(proc_net_tcp6)
{
	text_printf(t, "%s\n", INET6_HEADER("sl"));
	inet_list(ns_of(c), INET_TCP, AF_INET6, line, t);
	return 0;
}

static void udp4_header(struct text *t)
{
	text_printf(t, "%-127s\n",
	            "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt "
	            "  uid  timeout inode ref pointer drops");
}

static void udp6_header(struct text *t)
{
	text_printf(t, "%s ref pointer drops\n", INET6_HEADER("sl"));
}

PROC_SHOW(proc_net_udp)
{
	udp4_header(t);
	inet_list(ns_of(c), INET_UDP, AF_INET, line, t);
	return 0;
}

PROC_SHOW(proc_net_udp6)
{
	udp6_header(t);
	inet_list(ns_of(c), INET_UDP, AF_INET6, line, t);
	return 0;
}

PROC_SHOW(proc_net_icmp)
{
	udp4_header(t);
	inet_list(ns_of(c), INET_PING, AF_INET, line, t);
	return 0;
}

PROC_SHOW(proc_net_icmp6)
{
	udp6_header(t);
	inet_list(ns_of(c), INET_PING, AF_INET6, line, t);
	return 0;
}

PROC_SHOW(proc_net_raw)
{
	udp4_header(t);
	inet_list(ns_of(c), INET_RAW, AF_INET, line, t);
	return 0;
}

PROC_SHOW(proc_net_raw6)
{
	udp6_header(t);
	inet_list(ns_of(c), INET_RAW, AF_INET6, line, t);
	return 0;
}

PROC_SHOW(proc_net_dev)
{
	text_printf(t,
	            "Inter-|   Receive                                                |  Transmit\n"
	            " face |bytes    packets errs drop fifo frame compressed multicast|bytes    "
	            "packets errs drop fifo colls carrier compressed\n");
	text_printf(t,
	            "%6s: %7llu %7llu %4u %4u %4u %5u %10u %9u %8llu %7llu %4u %4u %4u %5u %7u "
	            "%10u\n",
	            "lo", N(LO_BYTES), N(LO_PACKETS), 0, 0, 0, 0, 0, 0, N(LO_BYTES), N(LO_PACKETS),
	            0, 0, 0, 0, 0, 0);
	return 0;
}

PROC_SHOW(proc_net_sockstat)
{
	struct inet_usage u;

	inet_usage(ns_of(c), &u);
	text_printf(
		t,
		"sockets: used %u\nTCP: inuse %u orphan %u tw %u alloc %u mem 0\n"
		"UDP: inuse %u mem 0\nUDPLITE: inuse 0\nRAW: inuse %u\nFRAG: inuse 0 memory 0\n",
		u.tcp4 + u.tcp6 + u.udp4 + u.udp6, u.tcp4, u.orphans, u.tw, u.tcp4 + u.tcp6, u.udp4,
		u.raw4);
	return 0;
}

PROC_SHOW(proc_net_sockstat6)
{
	struct inet_usage u;

	inet_usage(ns_of(c), &u);
	text_printf(t,
	            "TCP6: inuse %u\nUDP6: inuse %u\nUDPLITE6: inuse 0\nRAW6: inuse %u\n"
	            "FRAG6: inuse 0 memory 0\n",
	            u.tcp6, u.udp6, u.raw6);
	return 0;
}

PROC_SHOW(proc_net_snmp)
{
	struct inet_usage u;

	inet_usage(ns_of(c), &u);
	text_printf(t,
	            "Ip: Forwarding DefaultTTL InReceives InHdrErrors InAddrErrors ForwDatagrams "
	            "InUnknownProtos InDiscards InDelivers OutRequests OutDiscards OutNoRoutes "
	            "ReasmTimeout ReasmReqds ReasmOKs ReasmFails FragOKs FragFails FragCreates\n"
	            "Ip: %u %u %llu 0 0 0 0 0 %llu %llu 0 0 0 0 0 0 0 0 0\n",
	            net_setting_get(ns_of(c), NET_IP_FORWARD) ? 1 : 2, ns_of(c)->default_ttl,
	            N(LO_PACKETS), N(LO_PACKETS), N(LO_PACKETS));
	text_printf(t,
	            "Icmp: InMsgs InErrors InCsumErrors InDestUnreachs InTimeExcds InParmProbs "
	            "InSrcQuenchs InRedirects InEchos InEchoReps InTimestamps InTimestampReps "
	            "InAddrMasks InAddrMaskReps OutMsgs OutErrors OutDestUnreachs OutTimeExcds "
	            "OutParmProbs OutSrcQuenchs OutRedirects OutEchos OutEchoReps OutTimestamps "
	            "OutTimestampReps OutAddrMasks OutAddrMaskReps\n"
	            "Icmp: %llu 0 0 %llu 0 0 0 0 %llu %llu 0 0 0 0 %llu 0 %llu 0 0 0 0 %llu %llu 0 "
	            "0 0 0\n",
	            N(ICMP_ECHO) * 2 + N(UDP_NOPORTS), N(UDP_NOPORTS), N(ICMP_ECHO), N(ICMP_ECHO),
	            N(ICMP_ECHO) * 2 + N(UDP_NOPORTS), N(UDP_NOPORTS), N(ICMP_ECHO), N(ICMP_ECHO));
	text_printf(t,
	            "Tcp: RtoAlgorithm RtoMin RtoMax MaxConn ActiveOpens PassiveOpens AttemptFails "
	            "EstabResets CurrEstab InSegs OutSegs RetransSegs InErrs OutRsts InCsumErrors\n"
	            "Tcp: 1 200 120000 -1 %llu %llu %llu %llu %u 0 0 0 0 %llu 0\n",
	            N(TCP_ACTIVE), N(TCP_PASSIVE), N(TCP_FAILS), N(TCP_RESETS), u.established,
	            N(TCP_OUTRSTS));
	text_printf(t,
	            "Udp: InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors SndbufErrors "
	            "InCsumErrors IgnoredMulti MemErrors\n"
	            "Udp: %llu %llu %llu %llu %llu 0 0 0 0\n",
	            N(UDP_IN), N(UDP_NOPORTS), N(UDP_RCVBUFERR), N(UDP_OUT), N(UDP_RCVBUFERR));
	text_printf(t, "UdpLite: InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors "
	               "SndbufErrors InCsumErrors IgnoredMulti MemErrors\n"
	               "UdpLite: 0 0 0 0 0 0 0 0 0\n");
	return 0;
}

PROC_SHOW(proc_net_snmp6)
{
	text_printf(t, "%-32s\t%llu\n", "Udp6InDatagrams", N(UDP6_IN));
	text_printf(t, "%-32s\t%llu\n", "Udp6NoPorts", N(UDP6_NOPORTS));
	text_printf(t, "%-32s\t%llu\n", "Udp6InErrors", N(UDP6_RCVBUFERR));
	text_printf(t, "%-32s\t%llu\n", "Udp6OutDatagrams", N(UDP6_OUT));
	text_printf(t, "%-32s\t%llu\n", "Udp6RcvbufErrors", N(UDP6_RCVBUFERR));
	return 0;
}

/* What Linux counts of TCP besides, most of which needs a wire. */
static const char *const tcp_ext[] = {
	"SyncookiesSent",
	"SyncookiesRecv",
	"SyncookiesFailed",
	"EmbryonicRsts",
	"PruneCalled",
	"RcvPruned",
	"OfoPruned",
	"OutOfWindowIcmps",
	"LockDroppedIcmps",
	"ArpFilter",
	"TW",
	"TWRecycled",
	"TWKilled",
	"PAWSActive",
	"PAWSEstab",
	"DelayedACKs",
	"DelayedACKLocked",
	"DelayedACKLost",
	"ListenOverflows",
	"ListenDrops",
	"TCPHPHits",
	"TCPPureAcks",
	"TCPHPAcks",
	"TCPRenoRecovery",
	"TCPSackRecovery",
	"TCPSACKReneging",
	"TCPSACKReorder",
	"TCPRenoReorder",
	"TCPTSReorder",
	"TCPFullUndo",
	"TCPPartialUndo",
	"TCPDSACKUndo",
	"TCPLossUndo",
	"TCPLostRetransmit",
	"TCPRenoFailures",
	"TCPSackFailures",
	"TCPLossFailures",
	"TCPFastRetrans",
	"TCPSlowStartRetrans",
	"TCPTimeouts",
	"TCPLossProbes",
	"TCPLossProbeRecovery",
	"TCPRenoRecoveryFail",
	"TCPSackRecoveryFail",
	"TCPRcvCollapsed",
	"TCPBacklogCoalesce",
	"TCPDSACKOldSent",
	"TCPDSACKOfoSent",
	"TCPDSACKRecv",
	"TCPDSACKOfoRecv",
	"TCPAbortOnData",
	"TCPAbortOnClose",
	"TCPAbortOnMemory",
	"TCPAbortOnTimeout",
	"TCPAbortOnLinger",
	"TCPAbortFailed",
	"TCPMemoryPressures",
	"TCPMemoryPressuresChrono",
	"TCPSACKDiscard",
	"TCPDSACKIgnoredOld",
	"TCPDSACKIgnoredNoUndo",
	"TCPSpuriousRTOs",
	"TCPMD5NotFound",
	"TCPMD5Unexpected",
	"TCPMD5Failure",
	"TCPSackShifted",
	"TCPSackMerged",
	"TCPSackShiftFallback",
	"TCPBacklogDrop",
	"PFMemallocDrop",
	"TCPMinTTLDrop",
	"TCPDeferAcceptDrop",
	"IPReversePathFilter",
	"TCPTimeWaitOverflow",
	"TCPReqQFullDoCookies",
	"TCPReqQFullDrop",
	"TCPRetransFail",
	"TCPRcvCoalesce",
	"TCPOFOQueue",
	"TCPOFODrop",
	"TCPOFOMerge",
	"TCPChallengeACK",
	"TCPSYNChallenge",
	"TCPFastOpenActive",
	"TCPFastOpenActiveFail",
	"TCPFastOpenPassive",
	"TCPFastOpenPassiveFail",
	"TCPFastOpenListenOverflow",
	"TCPFastOpenCookieReqd",
	"TCPFastOpenBlackhole",
	"TCPSpuriousRtxHostQueues",
	"BusyPollRxPackets",
	"TCPAutoCorking",
	"TCPFromZeroWindowAdv",
	"TCPToZeroWindowAdv",
	"TCPWantZeroWindowAdv",
	"TCPSynRetrans",
	"TCPOrigDataSent",
	"TCPHystartTrainDetect",
	"TCPHystartTrainCwnd",
	"TCPHystartDelayDetect",
	"TCPHystartDelayCwnd",
	"TCPACKSkippedSynRecv",
	"TCPACKSkippedPAWS",
	"TCPACKSkippedSeq",
	"TCPACKSkippedFinWait2",
	"TCPACKSkippedTimeWait",
	"TCPACKSkippedChallenge",
	"TCPWinProbe",
	"TCPKeepAlive",
	"TCPMTUPFail",
	"TCPMTUPSuccess",
	"TCPDelivered",
	"TCPDeliveredCE",
	"TCPAckCompressed",
	"TCPZeroWindowDrop",
	"TCPRcvQDrop",
	"TCPWqueueTooBig",
	"TCPFastOpenPassiveAltKey",
	"TcpTimeoutRehash",
	"TcpDuplicateDataRehash",
	"TCPDSACKRecvSegs",
	"TCPDSACKIgnoredDubious",
	"TCPMigrateReqSuccess",
	"TCPMigrateReqFailure",
};

static u64 tcp_ext_value(struct ctx *c, const struct inet_usage *u, const char *name)
{
	if (strcmp(name, "TW") == 0)
		return u->tw;
	if (strcmp(name, "ListenOverflows") == 0 || strcmp(name, "ListenDrops") == 0)
		return N(TCP_LISTENDROPS);
	return 0;
}

PROC_SHOW(proc_net_netstat)
{
	struct inet_usage u;

	inet_usage(ns_of(c), &u);
	text_printf(t, "TcpExt:");
	for (unsigned n = 0; n < ARRAY_SIZE(tcp_ext); n++)
		text_printf(t, " %s", tcp_ext[n]);
	text_printf(t, "\nTcpExt:");
	for (unsigned n = 0; n < ARRAY_SIZE(tcp_ext); n++)
		text_printf(t, " %llu", (unsigned long long)tcp_ext_value(c, &u, tcp_ext[n]));
	text_printf(t,
	            "\nIpExt: InNoRoutes InTruncatedPkts InMcastPkts OutMcastPkts InBcastPkts "
	            "OutBcastPkts InOctets OutOctets InMcastOctets OutMcastOctets InBcastOctets "
	            "OutBcastOctets InCsumErrors InNoECTPkts InECT1Pkts InECT0Pkts InCEPkts "
	            "ReasmOverlaps\nIpExt: 0 0 0 0 0 0 %llu %llu 0 0 0 0 0 %llu 0 0 0 0\n",
	            N(LO_BYTES), N(LO_BYTES), N(LO_PACKETS));
	return 0;
}
