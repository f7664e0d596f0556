// Sockets that send and receive by one link alone, whatever the routes of others say.

#define _GNU_SOURCE
#include "CLinux.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

int firstlight_link_socket(const char *link, int length, bool stream) {
    int fd = socket(length == 4 ? AF_INET : AF_INET6, (stream ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return -errno;
    if (setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, link, (socklen_t)strlen(link)) == 0) return fd;
    int result = -errno;
    close(fd);
    return result;
}

static socklen_t fill(struct sockaddr_storage *to, const char *link, const uint8_t *address, size_t length, uint16_t port) {
    memset(to, 0, sizeof *to);
    if (length == 4) {
        struct sockaddr_in *v4 = (struct sockaddr_in *)to;
        v4->sin_family = AF_INET;
        v4->sin_port = htons(port);
        memcpy(&v4->sin_addr, address, 4);
        return sizeof *v4;
    }
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)to;
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(port);
    memcpy(&v6->sin6_addr, address, 16);
    if (IN6_IS_ADDR_LINKLOCAL(&v6->sin6_addr) || IN6_IS_ADDR_MC_LINKLOCAL(&v6->sin6_addr))
        v6->sin6_scope_id = if_nametoindex(link);
    return sizeof *v6;
}

/// Waits until `fd` is ready; signals do not lengthen it. 0, -ETIMEDOUT or -errno.
static int await(int fd, short events, int milliseconds) {
    struct timespec start, now;
    clock_gettime(CLOCK_MONOTONIC, &start);
    int rest = milliseconds;
    for (;;) {
        struct pollfd wanted = {.fd = fd, .events = events};
        int result = poll(&wanted, 1, rest);
        if (result > 0) return 0;
        if (result == 0) return -ETIMEDOUT;
        if (errno != EINTR) return -errno;
        clock_gettime(CLOCK_MONOTONIC, &now);
        rest = milliseconds - (int)((now.tv_sec - start.tv_sec) * 1000 + (now.tv_nsec - start.tv_nsec) / 1000000);
        if (rest <= 0) return -ETIMEDOUT;
    }
}

int firstlight_link_connect(int fd, const char *link, const uint8_t *address, size_t length, uint16_t port,
                            int milliseconds) {
    struct sockaddr_storage to;
    socklen_t size = fill(&to, link, address, length, port);
    if (connect(fd, (struct sockaddr *)&to, size) == 0) return 0;
    if (errno != EINPROGRESS) return -errno;
    int result = await(fd, POLLOUT, milliseconds);
    if (result < 0) return result;
    int fault = 0;
    socklen_t fault_size = sizeof fault;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &fault, &fault_size) != 0) return -errno;
    return -fault;
}

ssize_t firstlight_link_exchange(int fd, const char *link, const uint8_t *address, size_t length, uint16_t port,
                                 bool any_port, const uint8_t *bytes, size_t count, uint8_t *answer, size_t room,
                                 int milliseconds) {
    struct sockaddr_storage to;
    socklen_t size = fill(&to, link, address, length, port);
    // A connected socket gets no other sender's packets, but cannot wait for a server that answers from another port.
    if (!any_port && connect(fd, (struct sockaddr *)&to, size) != 0) return -errno;
    if (sendto(fd, bytes, count, 0, any_port ? (struct sockaddr *)&to : NULL, any_port ? size : 0) < 0) return -errno;
    int result = await(fd, POLLIN, milliseconds);
    if (result < 0) return result;
    ssize_t received = recv(fd, answer, room, 0);
    return received >= 0 ? received : -errno;
}

int firstlight_dhcp6_socket(const char *link) {
    int fd = firstlight_link_socket(link, 16, false);
    if (fd < 0) return fd;
    int yes = 1;
    struct sockaddr_in6 own = {.sin6_family = AF_INET6, .sin6_port = htons(546)};
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) == 0 &&
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &yes, sizeof yes) == 0 &&
        bind(fd, (struct sockaddr *)&own, sizeof own) == 0)
        return fd;
    int result = -errno;
    close(fd);
    return result;
}

int firstlight_link_send(int fd, const char *link, const uint8_t *address, size_t length, uint16_t port,
                         const uint8_t *bytes, size_t count) {
    struct sockaddr_storage to;
    socklen_t size = fill(&to, link, address, length, port);
    return sendto(fd, bytes, count, 0, (struct sockaddr *)&to, size) < 0 ? -errno : 0;
}
