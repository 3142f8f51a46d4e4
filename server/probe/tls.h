/* The TLS of a probe, on a connected socket that does not block. It does not look whose certificate it is shown: the
 * daemon is asked by its address most often, of which certificates know nothing, and told nothing that is secret. */
#ifndef SERVER_PROBE_TLS_H
#define SERVER_PROBE_TLS_H

#include <sys/types.h>

enum probe_tls_step {
    PROBE_TLS_DONE,
    PROBE_TLS_READ,  /* it goes on when the socket can be read; likewise: */
    PROBE_TLS_WRITE, /* written */
    PROBE_TLS_FAILED
};

struct probe_tls;

/* `host` is a name, which the server is told, or an address. NULL where there is no memory. */
struct probe_tls *probe_tls_open(int fd, const char *host);

/* The next step of the handshake. */
enum probe_tls_step probe_tls_greet(struct probe_tls *tls);

/* As send() and recv(), after the handshake; errno is EIO for a fault of TLS, see probe_tls_fault. */
ssize_t probe_tls_send(struct probe_tls *tls, const void *bytes, size_t size);
ssize_t probe_tls_receive(struct probe_tls *tls, void *bytes, size_t size);

/* What went wrong last, for people. */
const char *probe_tls_fault(const struct probe_tls *tls);

void probe_tls_close(struct probe_tls **tls); /* leaves the socket; sets the pointer to NULL; NULL is fine */

#endif
