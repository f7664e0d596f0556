// Links, addresses and routes through rtnetlink, one request and one answer at a time.

#define _GNU_SOURCE
#include "CLinux.h"

#include <errno.h>
#include <linux/if_addr.h>
#include <linux/ethtool.h>
#include <linux/if_link.h>
#include <linux/if_vlan.h>
#include <linux/neighbour.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <linux/vm_sockets.h>
#include <sys/syscall.h>
#include <unistd.h>

struct request {
    struct nlmsghdr header;
    union {
        struct ifinfomsg link;
        struct ifaddrmsg address;
        struct rtmsg route;
    } body;
    char attributes[512];
};

static void begin(struct request *request, int type, int flags, size_t body) {
    memset(request, 0, sizeof *request);
    request->header.nlmsg_type = (uint16_t)type;
    request->header.nlmsg_flags = (uint16_t)(NLM_F_REQUEST | NLM_F_ACK | flags);
    request->header.nlmsg_len = NLMSG_LENGTH(body);
}

static void add(struct request *request, int type, const void *value, size_t length) {
    size_t at = NLMSG_ALIGN(request->header.nlmsg_len);
    struct rtattr *attribute = (struct rtattr *)((char *)request + at);
    if (at + RTA_SPACE(length) > sizeof *request) return;
    attribute->rta_type = (uint16_t)type;
    attribute->rta_len = (uint16_t)RTA_LENGTH(length);
    if (length > 0) memcpy(RTA_DATA(attribute), value, length);
    request->header.nlmsg_len = (uint32_t)(at + RTA_ALIGN(RTA_LENGTH(length)));
}

static int perform(struct request *request) {
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    if (fd < 0) return -errno;
    struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
    int result;
    ssize_t count = sendto(fd, request, request->header.nlmsg_len, 0, (struct sockaddr *)&kernel, sizeof kernel);
    if (count < 0) {
        result = -errno;
    } else {
        union {
            struct nlmsghdr header;
            char bytes[4096];
        } answer;
        do count = recv(fd, &answer, sizeof answer, 0);
        while (count < 0 && errno == EINTR);
        if (count < 0) {
            result = -errno;
        } else if ((size_t)count < NLMSG_LENGTH(sizeof(struct nlmsgerr)) || answer.header.nlmsg_type != NLMSG_ERROR) {
            result = -EPROTO;
        } else {
            result = ((struct nlmsgerr *)NLMSG_DATA(&answer.header))->error;
        }
    }
    close(fd);
    return result;
}

int firstlight_link_configure(int index, const char *name, uint32_t mtu, const uint8_t *mac, int up) {
    struct request request;
    begin(&request, RTM_NEWLINK, 0, sizeof request.body.link);
    request.body.link.ifi_family = AF_UNSPEC;
    request.body.link.ifi_index = index;
    if (up >= 0) {
        request.body.link.ifi_change = IFF_UP;
        request.body.link.ifi_flags = up ? IFF_UP : 0;
    }
    if (name != NULL) add(&request, IFLA_IFNAME, name, strnlen(name, IFNAMSIZ - 1) + 1);
    if (mtu != 0) add(&request, IFLA_MTU, &mtu, sizeof mtu);
    if (mac != NULL) add(&request, IFLA_ADDRESS, mac, 6);
    return perform(&request);
}

/// Opens an attribute that holds others; end() closes it.
static struct rtattr *nest(struct request *request, int type) {
    struct rtattr *attribute = (struct rtattr *)((char *)request + NLMSG_ALIGN(request->header.nlmsg_len));
    add(request, type, NULL, 0);
    return attribute;
}

static void end(struct request *request, struct rtattr *attribute) {
    attribute->rta_len = (uint16_t)((char *)request + request->header.nlmsg_len - (char *)attribute);
}

int firstlight_link_make(const char *name, const char *kind, int parent, int vlan, uint32_t vlan_flags) {
    struct request request;
    begin(&request, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, sizeof request.body.link);
    add(&request, IFLA_IFNAME, name, strlen(name) + 1);
    if (parent > 0) add(&request, IFLA_LINK, &parent, sizeof parent);
    struct rtattr *info = nest(&request, IFLA_LINKINFO);
    add(&request, IFLA_INFO_KIND, kind, strlen(kind));
    if (vlan >= 0) {
        struct rtattr *data = nest(&request, IFLA_INFO_DATA);
        uint16_t id = (uint16_t)vlan;
        // The kernel refuses a mask with bits that it does not know.
        struct ifla_vlan_flags flags = {.flags = vlan_flags, .mask = vlan_flags | VLAN_FLAG_REORDER_HDR};
        add(&request, IFLA_VLAN_ID, &id, sizeof id);
        add(&request, IFLA_VLAN_FLAGS, &flags, sizeof flags);
        end(&request, data);
    }
    end(&request, info);
    return perform(&request);
}

int firstlight_link_remove(int index) {
    struct request request;
    begin(&request, RTM_DELLINK, 0, sizeof request.body.link);
    request.body.link.ifi_index = index;
    return perform(&request);
}

int firstlight_link_join(int index, int controller) {
    struct request request;
    begin(&request, RTM_NEWLINK, 0, sizeof request.body.link);
    request.body.link.ifi_index = index;
    add(&request, IFLA_MASTER, &controller, sizeof controller);
    return perform(&request);
}

int firstlight_address_add(int index, const uint8_t *address, size_t length, uint8_t prefix, bool add_it) {
    struct request request;
    begin(&request, add_it ? RTM_NEWADDR : RTM_DELADDR, add_it ? NLM_F_CREATE | NLM_F_REPLACE : 0,
          sizeof request.body.address);
    request.body.address.ifa_family = length == 4 ? AF_INET : AF_INET6;
    request.body.address.ifa_prefixlen = prefix;
    request.body.address.ifa_index = (uint32_t)index;
    // An address that somebody chose is used at once, without a second of duplicate address detection.
    if (length == 16) request.body.address.ifa_flags = IFA_F_NODAD;
    add(&request, IFA_LOCAL, address, length);
    add(&request, IFA_ADDRESS, address, length);
    if (length == 4 && prefix < 31) {
        uint8_t broadcast[4];
        for (int i = 0; i < 4; i++) {
            int ones = prefix - i * 8;
            uint8_t mask = ones >= 8 ? 0xff : ones <= 0 ? 0 : (uint8_t)(0xff << (8 - ones));
            broadcast[i] = address[i] | (uint8_t)~mask;
        }
        add(&request, IFA_BROADCAST, broadcast, sizeof broadcast);
    }
    return perform(&request);
}

int firstlight_route_change(bool add_it, int index, const struct firstlight_route *route) {
    struct request request;
    begin(&request, add_it ? RTM_NEWROUTE : RTM_DELROUTE, add_it ? NLM_F_CREATE | NLM_F_REPLACE : 0,
          sizeof request.body.route);
    request.body.route.rtm_family = route->length == 4 ? AF_INET : AF_INET6;
    request.body.route.rtm_dst_len = route->prefix;
    request.body.route.rtm_table = RT_TABLE_UNSPEC;
    request.body.route.rtm_protocol = add_it ? RTPROT_BOOT : RTPROT_UNSPEC;
    request.body.route.rtm_type = RTN_UNICAST;
    request.body.route.rtm_scope = !add_it ? RT_SCOPE_NOWHERE
                                   : route->gateway == NULL && route->length == 4 ? RT_SCOPE_LINK
                                                                                  : RT_SCOPE_UNIVERSE;
    if (route->on_link) request.body.route.rtm_flags |= RTNH_F_ONLINK;
    if (route->prefix > 0) add(&request, RTA_DST, route->destination, route->length);
    if (route->gateway != NULL) add(&request, RTA_GATEWAY, route->gateway, route->length);
    if (route->source != NULL) add(&request, RTA_PREFSRC, route->source, route->length);
    uint32_t table = route->table != 0 ? route->table : RT_TABLE_MAIN;
    add(&request, RTA_TABLE, &table, sizeof table);
    add(&request, RTA_OIF, &index, sizeof index);
    add(&request, RTA_PRIORITY, &route->metric, sizeof route->metric);
    if (route->mtu != 0) {
        struct rtattr *metrics = nest(&request, RTA_METRICS);
        add(&request, RTAX_MTU, &route->mtu, sizeof route->mtu);
        end(&request, metrics);
    }
    return perform(&request);
}

int firstlight_network_events(void) {
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
    if (fd < 0) return -errno;
    int groups[] = {RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR, RTNLGRP_IPV6_IFINFO, RTNLGRP_ND_USEROPT};
    struct sockaddr_nl address = {.nl_family = AF_NETLINK};
    int result = bind(fd, (struct sockaddr *)&address, sizeof address) == 0 ? 0 : -errno;
    for (size_t i = 0; result == 0 && i < sizeof groups / sizeof groups[0]; i++) {
        if (setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &groups[i], sizeof groups[i]) != 0) result = -errno;
    }
    if (result == 0) return fd;
    close(fd);
    return result;
}

int firstlight_link_speed(const char *name, int autonegotiates, uint32_t speed, bool half_duplex) {
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return -errno;
    struct ethtool_cmd settings = {.cmd = ETHTOOL_GSET};
    struct ifreq request = {.ifr_data = (char *)&settings};
    strncpy(request.ifr_name, name, IFNAMSIZ - 1);
    int result = ioctl(fd, SIOCETHTOOL, &request) == 0 ? 0 : -errno;
    if (result == 0) {
        settings.cmd = ETHTOOL_SSET;
        if (autonegotiates >= 0) settings.autoneg = autonegotiates ? AUTONEG_ENABLE : AUTONEG_DISABLE;
        if (speed > 0) {
            ethtool_cmd_speed_set(&settings, speed);
            settings.duplex = half_duplex ? DUPLEX_HALF : DUPLEX_FULL;
        }
        if (ioctl(fd, SIOCETHTOOL, &request) != 0) result = -errno;
    }
    close(fd);
    return result;
}

int firstlight_connect_vsock(uint32_t address, uint32_t port) {
    int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    struct sockaddr_vm to = {.svm_family = AF_VSOCK, .svm_cid = address, .svm_port = port};
    int result;
    do {
        result = connect(fd, (struct sockaddr *)&to, sizeof to);
    } while (result < 0 && errno == EINTR);
    if (result == 0)
        return fd;
    result = -errno;
    close(fd);
    return result;
}

int firstlight_process_handle(pid_t process) {
    long fd = syscall(SYS_pidfd_open, process, 0);
    return fd >= 0 ? (int)fd : -errno;
}
