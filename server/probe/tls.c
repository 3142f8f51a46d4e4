#include "server/probe/tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <gnutls/gnutls.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct probe_tls {
    gnutls_session_t session;
    gnutls_certificate_credentials_t credentials;
    int fault; /* GnuTLS' code */
};

static bool is_address(const char *host)
{
    struct in6_addr address;
    return inet_pton(AF_INET, host, &address) == 1 || inet_pton(AF_INET6, host, &address) == 1;
}

static bool begin(struct probe_tls *tls, int fd, const char *host)
{
    if (gnutls_init(&tls->session, GNUTLS_CLIENT | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL) != GNUTLS_E_SUCCESS ||
        gnutls_certificate_allocate_credentials(&tls->credentials) != GNUTLS_E_SUCCESS ||
        gnutls_credentials_set(tls->session, GNUTLS_CRD_CERTIFICATE, tls->credentials) != GNUTLS_E_SUCCESS ||
        gnutls_set_default_priority(tls->session) != GNUTLS_E_SUCCESS)
        return false;
    gnutls_transport_set_int(tls->session, fd);
    return is_address(host) ||
           gnutls_server_name_set(tls->session, GNUTLS_NAME_DNS, host, strlen(host)) == GNUTLS_E_SUCCESS;
}

struct probe_tls *probe_tls_open(int fd, const char *host)
{
    struct probe_tls *made = calloc(1, sizeof *made);

    if (made && !begin(made, fd, host))
        probe_tls_close(&made);
    return made;
}

void probe_tls_close(struct probe_tls **tls)
{
    if (!*tls)
        return;
    if ((*tls)->session)
        gnutls_deinit((*tls)->session);
    if ((*tls)->credentials)
        gnutls_certificate_free_credentials((*tls)->credentials);
    free(*tls);
    *tls = NULL;
}

static bool goes_on(ssize_t code)
{
    return code == GNUTLS_E_AGAIN || code == GNUTLS_E_INTERRUPTED;
}

enum probe_tls_step probe_tls_greet(struct probe_tls *tls)
{
    int code;

    do
        code = gnutls_handshake(tls->session);
    while (code < 0 && !goes_on(code) && !gnutls_error_is_fatal(code)); /* a warning */
    if (goes_on(code))
        return gnutls_record_get_direction(tls->session) ? PROBE_TLS_WRITE : PROBE_TLS_READ;
    tls->fault = code;
    return code == GNUTLS_E_SUCCESS ? PROBE_TLS_DONE : PROBE_TLS_FAILED;
}

/* A peer that closes without a word of TLS has closed all the same. */
static ssize_t as_socket(struct probe_tls *tls, ssize_t result)
{
    if (result >= 0)
        return result;
    if (result == GNUTLS_E_PREMATURE_TERMINATION)
        return 0;
    tls->fault = (int)result;
    errno = goes_on(result) || !gnutls_error_is_fatal((int)result) ? EAGAIN : EIO;
    return -1;
}

ssize_t probe_tls_send(struct probe_tls *tls, const void *bytes, size_t size)
{
    return as_socket(tls, gnutls_record_send(tls->session, bytes, size));
}

ssize_t probe_tls_receive(struct probe_tls *tls, void *bytes, size_t size)
{
    return as_socket(tls, gnutls_record_recv(tls->session, bytes, size));
}

const char *probe_tls_fault(const struct probe_tls *tls)
{
    return gnutls_strerror(tls->fault);
}
