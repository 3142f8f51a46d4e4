/* The certificate that the server shows, and the key to it: of the server's two listeners, if it has two.
 *
 * Both come from files, which may be read again while the server runs: connections that are there go on with what they
 * began with, later ones get the new. TLS 1.2 and 1.3 are spoken, with forward secrecy and authenticated ciphers only.
 * No text and no line of the log holds anything of the key.
 *
 * Sessions are GnuTLS' (gnutls_session_t), and void * here, so that only tls.c knows it. All functions are thread-safe,
 * but for open and close. */
#ifndef SERVER_HTTP_TLS_H
#define SERVER_HTTP_TLS_H

#include "espalier/error.h"
#include "server/http/connections.h"

#include <time.h>

enum { TLS_SUBJECT_MAX = 256 };

/* The priorities of the server's sessions, in GnuTLS' language. */
extern const char tls_priorities[];

/* What there is to say of a certificate. */
struct tls_facts {
    char subject[TLS_SUBJECT_MAX]; /* its distinguished name */
    time_t since, until;           /* when it is valid */
};

struct tls;
struct tls_identity;

/* Reads the two files (PEM; behind the certificate may stand those that lead to its authority). The texts of the paths
 * must outlive it. ESP_ERROR_ARGUMENT or ESP_ERROR_IO: the text says which file is wrong, and how. */
enum esp_status tls_open(struct tls **tls, const char *certificate, const char *key, struct esp_error *err);
void tls_close(struct tls **tls); /* after the connections; sets the pointer to NULL; NULL is fine */

/* Reads the files again. After an error all stays as it was. */
enum esp_status tls_reload(struct tls *tls, struct esp_error *err);

struct tls_facts tls_facts(struct tls *tls);

/* The value of MHD_OPTION_HTTPS_CERT_CALLBACK: the library wants to know whom to ask for a certificate. It asks only
 * where tls_begin has failed, and gets none. */
void *tls_no_certificate(void);

/* Has a session that has not begun show the certificate, which tls_end gives back after the session; and has
 * `connections` hear when its handshake is over. NULL where there is no memory: then the handshake will fail. */
struct tls_identity *tls_begin(struct tls *tls, void *session, struct connections *connections);
void tls_end(struct tls_identity *identity); /* NULL is fine */

#endif
