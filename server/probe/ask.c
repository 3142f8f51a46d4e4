/* Sockets, and TLS on them, alone: the HTTP library of the daemon is none for clients, and libcurl would bring tens of
 * megabytes into a container for these few lines. */
#include "server/probe/ask.h"

#include "server/clock.h"
#include "server/probe/tls.h"

#include <ctype.h>
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* A connection; `tls` is NULL on a plain one. */
struct wire {
    int fd;
    struct probe_tls *tls;
};

enum { REQUEST_MAX = PROBE_URL_MAX + 256, STATUS_LINE_MAX = 512 };

/* ---- until the deadline ---- */

static struct timespec time_left(uint64_t deadline)
{
    uint64_t now = clock_now(), left = now < deadline ? deadline - now : 0;
    return (struct timespec){(time_t)(left / 1000000000u), (long)(left % 1000000000u)};
}

/* False with errno where the socket is not ready in time. */
static bool wait_for(int fd, short events, uint64_t deadline)
{
    struct pollfd polled = {.fd = fd, .events = events};

    for (;;) {
        struct timespec timeout = time_left(deadline);
        int ready = ppoll(&polled, 1, &timeout, NULL);
        if (ready > 0)
            return true;
        if (ready < 0 && errno == EINTR)
            continue;
        if (ready == 0)
            errno = ETIMEDOUT;
        return false;
    }
}

/* getaddrinfo() knows no deadline, so that names are looked up by a thread of the C library's; a number needs none.
 * Returns its code, EAI_INPROGRESS at the deadline. */
static int resolve(const struct place *place, uint64_t deadline, struct addrinfo **found)
{
    static const struct addrinfo number = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV | AI_NUMERICHOST};
    static const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    static struct gaicb query; /* it outlives this call if it is not done */
    struct gaicb *list[] = {&query};

    if (getaddrinfo(place->host, place->port, &number, found) == 0)
        return 0;
    query = (struct gaicb){.ar_name = place->host, .ar_service = place->port, .ar_request = &hints};
    int code = getaddrinfo_a(GAI_NOWAIT, list, 1, NULL);
    if (code)
        return code;
    while ((code = gai_error(&query)) == EAI_INPROGRESS && clock_now() < deadline) {
        struct timespec timeout = time_left(deadline);
        gai_suspend((const struct gaicb *const *)list, 1, &timeout);
    }
    *found = query.ar_result;
    return code;
}

/* ---- the connection ---- */

static bool connected(int fd, const struct addrinfo *address, uint64_t deadline)
{
    int fault = 0;
    socklen_t size = sizeof fault;

    if (connect(fd, address->ai_addr, address->ai_addrlen) == 0)
        return true;
    if (errno != EINPROGRESS || !wait_for(fd, POLLOUT, deadline))
        return false;
    getsockopt(fd, SOL_SOCKET, SO_ERROR, &fault, &size);
    errno = fault;
    return fault == 0;
}

/* A socket to the first address that takes it; -1 with errno of the last. */
static int connect_to_one(const struct addrinfo *addresses, uint64_t deadline)
{
    for (const struct addrinfo *address = addresses; address; address = address->ai_next) {
        int fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd >= 0 && connected(fd, address, deadline))
            return fd;
        int why = errno;
        if (fd >= 0)
            close(fd);
        errno = why;
    }
    return -1;
}

/* False where it fails, or with errno where it takes too long. */
static bool greet(const struct wire *wire, uint64_t deadline)
{
    for (;;) {
        switch (probe_tls_greet(wire->tls)) {
        case PROBE_TLS_DONE: return true;
        case PROBE_TLS_FAILED: errno = EIO; return false;
        case PROBE_TLS_READ:
            if (!wait_for(wire->fd, POLLIN, deadline))
                return false;
            break;
        case PROBE_TLS_WRITE:
            if (!wait_for(wire->fd, POLLOUT, deadline))
                return false;
            break;
        }
    }
}

static bool send_all(const struct wire *wire, const char *bytes, size_t size, uint64_t deadline)
{
    while (size > 0) {
        ssize_t sent = wire->tls ? probe_tls_send(wire->tls, bytes, size) : send(wire->fd, bytes, size, MSG_NOSIGNAL);
        if (sent >= 0) {
            bytes += sent;
            size -= (size_t)sent;
        } else if (errno != EINTR && (errno != EAGAIN || !wait_for(wire->fd, POLLOUT, deadline))) {
            return false;
        }
    }
    return true;
}

/* Reads up to the first line's end, or as much of the line as fits. False with errno, which is 0 where the peer closed.
 */
static bool receive_line(const struct wire *wire, char line[STATUS_LINE_MAX], uint64_t deadline)
{
    size_t length = 0;

    while (length < STATUS_LINE_MAX - 1 && !memchr(line, '\n', length)) {
        if (!wait_for(wire->fd, POLLIN, deadline))
            return false;
        size_t room = STATUS_LINE_MAX - 1 - length;
        ssize_t received =
            wire->tls ? probe_tls_receive(wire->tls, line + length, room) : recv(wire->fd, line + length, room, 0);
        if (received < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (received <= 0) {
            errno = received == 0 ? 0 : errno;
            return false;
        }
        length += (size_t)received;
    }
    line[length] = '\0';
    line[strcspn(line, "\r\n")] = '\0';
    return true;
}

/* ---- question and answer ---- */

/* The status of "HTTP/1.1 200 OK"; 0 where it is no such line. */
static unsigned status_of(const char *line)
{
    static const char pattern[] = "HTTP/1.d ddd"; /* d is a digit */

    for (size_t i = 0; pattern[i]; i++)
        if (pattern[i] == 'd' ? !isdigit((unsigned char)line[i]) : line[i] != pattern[i])
            return 0;
    if (line[12] != '\0' && line[12] != ' ')
        return 0;
    return (unsigned)((line[9] - '0') * 100 + (line[10] - '0') * 10 + (line[11] - '0'));
}

static enum esp_status judge(const struct probe_target *target, const char *line, struct esp_error *err)
{
    unsigned status = status_of(line);

    if (status >= 200 && status <= 299)
        return ESP_OK;
    if (status == 0)
        return esp_fail(err, ESP_ERROR_IO, "%.200s: the answer is not HTTP's", target->url);
    return esp_fail(err, ESP_ERROR_IO, "%.200s answers %.100s%s", target->url, line + strlen("HTTP/1.1 "),
                    status == 503 ? ": it is starting, draining or overloaded" : "");
}

/* `tls` is NULL on a plain connection. */
static enum esp_status explain(const struct probe_target *target, const char *what, const struct probe_tls *tls,
                               struct esp_error *err)
{
    const char *why = errno == ETIMEDOUT    ? "timed out"
                      : errno == 0          ? "the connection was closed"
                      : tls && errno == EIO ? probe_tls_fault(tls)
                                            : strerror(errno);
    return esp_fail(err, ESP_ERROR_IO, "%.200s: %s: %s", target->url, what, why);
}

static enum esp_status converse(const struct wire *wire, const struct probe_target *target, uint64_t deadline,
                                struct esp_error *err)
{
    char request[REQUEST_MAX], line[STATUS_LINE_MAX];
    int size = snprintf(request, sizeof request,
                        "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: espalier-probe\r\nConnection: close\r\n\r\n",
                        target->path, target->authority);

    if (wire->tls && !greet(wire, deadline))
        return explain(target, "no TLS", wire->tls, err);
    if (!send_all(wire, request, (size_t)size, deadline) || !receive_line(wire, line, deadline))
        return explain(target, "no answer", wire->tls, err);
    return judge(target, line, err);
}

static enum esp_status converse_on(int fd, const struct probe_target *target, uint64_t deadline, struct esp_error *err)
{
    struct wire wire = {fd, target->tls ? probe_tls_open(fd, target->place.host) : NULL};

    if (target->tls && !wire.tls)
        return esp_fail(err, ESP_ERROR_MEMORY, "out of memory");
    enum esp_status status = converse(&wire, target, deadline, err);
    probe_tls_close(&wire.tls);
    return status;
}

enum esp_status probe_ask(const struct probe_target *target, uint64_t deadline, struct esp_error *err)
{
    struct addrinfo *addresses = NULL;
    int code = resolve(&target->place, deadline, &addresses);

    if (code)
        return esp_fail(err, ESP_ERROR_IO, "%.200s: cannot resolve its name: %s", target->url,
                        code == EAI_INPROGRESS ? "timed out" : gai_strerror(code));
    int fd = connect_to_one(addresses, deadline);
    if (fd < 0)
        explain(target, "cannot connect", NULL, err);
    freeaddrinfo(addresses);
    if (fd < 0)
        return ESP_ERROR_IO;
    enum esp_status status = converse_on(fd, target, deadline, err);
    close(fd);
    return status;
}
