#include "server/http/listener.h"

#include "server/http/place.h"

#include <errno.h>
#include <linux/filter.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* A listening socket at `address`, or -1 with errno set. */
static int listen_at(const struct addrinfo *address)
{
    int on = 1, fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    /* A restart need not wait for the old connections' TIME_WAIT. */
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, address->ai_addr, address->ai_addrlen) == 0 && listen(fd, SOMAXCONN) == 0)
        return fd;
    int why = errno;
    close(fd);
    errno = why;
    return -1;
}

static bool is_loopback(const struct sockaddr_storage *address)
{
    const struct in6_addr *six = &((const struct sockaddr_in6 *)address)->sin6_addr;

    if (address->ss_family == AF_INET6)
        return IN6_IS_ADDR_LOOPBACK(six) || (IN6_IS_ADDR_V4MAPPED(six) && six->s6_addr[12] == 127);
    return ntohl(((const struct sockaddr_in *)address)->sin_addr.s_addr) >> 24 == 127;
}

static void describe(struct listener *listener, const char *scheme)
{
    struct sockaddr_storage address = {0};
    socklen_t length = sizeof address;
    char host[PLACE_HOST_MAX] = "?", port[PLACE_PORT_MAX] = "0";

    getsockname(listener->socket, (struct sockaddr *)&address, &length);
    getnameinfo((struct sockaddr *)&address, length, host, sizeof host, port, sizeof port,
                NI_NUMERICHOST | NI_NUMERICSERV);
    bool brackets = strchr(host, ':') != NULL;
    snprintf(listener->url, sizeof listener->url, "%s://%s%s%s:%s", scheme, brackets ? "[" : "", host,
             brackets ? "]" : "", port);
    listener->loopback = is_loopback(&address);
}

static enum esp_status explain(const char *where, int why, struct esp_error *err)
{
    const char *advice = why == EADDRINUSE      ? "; another program listens there: stop it or choose another port"
                         : why == EACCES        ? "; ports below 1024 need a privilege: choose a higher one"
                         : why == EADDRNOTAVAIL ? "; this machine does not have that address"
                                                : "";
    return esp_fail(err, ESP_ERROR_IO, "cannot listen at %s: %s%s", where, strerror(why), advice);
}

enum esp_status listener_open(struct listener *listener, const char *where, const char *scheme, struct esp_error *err)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV}, *found;
    struct place place;

    if (!place_read(where, strlen(where), &place))
        return esp_fail(err, ESP_ERROR_ARGUMENT,
                        "cannot listen at '%s'; give ADDRESS:PORT, such as 127.0.0.1:8080 or [::1]:8080", where);
    int code = getaddrinfo(place.host, place.port, &hints, &found);
    if (code)
        return esp_fail(err, ESP_ERROR_ARGUMENT, "cannot listen at %s: %s", where, gai_strerror(code));
    listener->socket = listen_at(found);
    int why = errno;
    freeaddrinfo(found);
    if (listener->socket < 0)
        return explain(where, why, err);
    describe(listener, scheme);
    return ESP_OK;
}

/* A filter sees TCP segments from their header on. Those with SYN, which ask for a connection, are dropped; the others
 * end handshakes that have begun. Connections inherit the filter from the socket, and nothing comes of it: no segment
 * of theirs has SYN. */
void listener_refuse(int socket)
{
    enum { FLAGS = 13, SYN = 2 };
    struct sock_filter code[] = {BPF_STMT(BPF_LD | BPF_B | BPF_ABS, FLAGS),
                                 BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, SYN, 0, 1), BPF_STMT(BPF_RET | BPF_K, 0),
                                 BPF_STMT(BPF_RET | BPF_K, UINT32_MAX)};
    struct sock_fprog filter = {sizeof code / sizeof code[0], code};

    setsockopt(socket, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter);
}
