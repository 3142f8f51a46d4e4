#include "server/http/tls.h"

#include "server/file.h"

#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum {
    FILE_SIZE_MAX = 1 << 20,
    CHAIN_MAX = 16,
    PATH_SHOWN = 200 /* characters of a path: an error has to hold more */
};

const char tls_priorities[] = "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:-KX-ALL:+ECDHE-ECDSA:+ECDHE-RSA:"
                              "-CIPHER-ALL:+AES-128-GCM:+AES-256-GCM:+CHACHA20-POLY1305:%SERVER_PRECEDENCE";

/* One reading of the files; `users` are the tls itself, as long as it is the latest, and the sessions that show it. */
struct tls_identity {
    gnutls_certificate_credentials_t credentials;
    struct tls_facts facts;
    atomic_size_t users;
};

struct tls {
    const char *certificate, *key; /* paths */
    pthread_mutex_t lock;
    struct tls_identity *latest;
};

/* ---- files ---- */

/* A text of PEM, to be given to wipe(). */
static enum esp_status read_pem(const char *setting, const char *path, gnutls_datum_t *pem, struct esp_error *err)
{
    struct esp_error fault = {0};
    size_t size;

    pem->data = file_read(path, FILE_SIZE_MAX, &size, &fault);
    pem->size = (unsigned)size;
    if (pem->data)
        return ESP_OK;
    return esp_fail(err, fault.status, "cannot read %s %.*s: %s", setting, PATH_SHOWN, path, fault.text);
}

static void wipe(gnutls_datum_t *pem)
{
    explicit_bzero(pem->data, pem->size);
    free(pem->data);
}

struct chain {
    gnutls_x509_crt_t certificates[CHAIN_MAX];
    unsigned count;
};

static void free_chain(struct chain *chain)
{
    for (unsigned i = 0; i < chain->count; i++)
        gnutls_x509_crt_deinit(chain->certificates[i]);
}

static enum esp_status read_chain(const char *path, struct chain *chain, struct esp_error *err)
{
    gnutls_datum_t pem;
    enum esp_status status = read_pem("tls-certificate", path, &pem, err);

    if (status != ESP_OK)
        return status;
    chain->count = CHAIN_MAX;
    int count = gnutls_x509_crt_list_import(chain->certificates, &chain->count, &pem, GNUTLS_X509_FMT_PEM,
                                            GNUTLS_X509_CRT_LIST_IMPORT_FAIL_IF_EXCEED);
    wipe(&pem);
    if (count > 0)
        return ESP_OK;
    chain->count = 0;
    if (count == GNUTLS_E_SHORT_MEMORY_BUFFER)
        return esp_fail(err, ESP_ERROR_ARGUMENT, "tls-certificate %.*s holds more than %d certificates", PATH_SHOWN,
                        path, CHAIN_MAX);
    return esp_fail(err, ESP_ERROR_ARGUMENT,
                    "tls-certificate %.*s holds no certificate that can be read (%s); give PEM, which begins with "
                    "-----BEGIN CERTIFICATE-----",
                    PATH_SHOWN, path, gnutls_strerror(count));
}

static enum esp_status read_key(const char *path, gnutls_x509_privkey_t *key, struct esp_error *err)
{
    gnutls_datum_t pem;
    enum esp_status status = read_pem("tls-key", path, &pem, err);

    if (status != ESP_OK)
        return status;
    int code = gnutls_x509_privkey_init(key);
    if (code == GNUTLS_E_SUCCESS)
        code = gnutls_x509_privkey_import2(*key, &pem, GNUTLS_X509_FMT_PEM, NULL, 0);
    wipe(&pem);
    if (code == GNUTLS_E_SUCCESS)
        return ESP_OK;
    if (code == GNUTLS_E_DECRYPTION_FAILED)
        return esp_fail(err, ESP_ERROR_ARGUMENT,
                        "tls-key %.*s wants a password; give a key without one: openssl pkey -in FILE -out FILE",
                        PATH_SHOWN, path);
    return esp_fail(err, ESP_ERROR_ARGUMENT,
                    "tls-key %.*s holds no private key that can be read (%s); give PEM, which begins with "
                    "-----BEGIN PRIVATE KEY-----",
                    PATH_SHOWN, path, gnutls_strerror(code));
}

/* ---- identities ---- */

static void note_facts(struct tls_facts *facts, gnutls_x509_crt_t certificate)
{
    size_t size = sizeof facts->subject;

    if (gnutls_x509_crt_get_dn(certificate, facts->subject, &size) != GNUTLS_E_SUCCESS)
        facts->subject[0] = '\0';
    facts->since = gnutls_x509_crt_get_activation_time(certificate);
    facts->until = gnutls_x509_crt_get_expiration_time(certificate);
}

void tls_end(struct tls_identity *identity)
{
    if (!identity || atomic_fetch_sub(&identity->users, 1) > 1)
        return;
    gnutls_certificate_free_credentials(identity->credentials);
    free(identity);
}

static enum esp_status join(const struct tls *tls, const struct chain *chain, gnutls_x509_privkey_t key,
                            struct tls_identity **identity, struct esp_error *err)
{
    struct tls_identity *made = calloc(1, sizeof *made);

    if (!made || gnutls_certificate_allocate_credentials(&made->credentials) != GNUTLS_E_SUCCESS) {
        free(made);
        return esp_fail(err, ESP_ERROR_MEMORY, "out of memory");
    }
    atomic_init(&made->users, 1);
    int code = gnutls_certificate_set_x509_key(made->credentials, (gnutls_x509_crt_t *)chain->certificates,
                                               (int)chain->count, key);
    if (code >= 0) {
        note_facts(&made->facts, chain->certificates[0]);
        *identity = made;
        return ESP_OK;
    }
    tls_end(made);
    if (code == GNUTLS_E_CERTIFICATE_KEY_MISMATCH)
        return esp_fail(err, ESP_ERROR_ARGUMENT,
                        "tls-key %.*s is not the key of the first certificate in tls-certificate %.*s", PATH_SHOWN / 2,
                        tls->key, PATH_SHOWN / 2, tls->certificate);
    return esp_fail(err, ESP_ERROR_ARGUMENT, "tls-certificate %.*s cannot be used: %s", PATH_SHOWN, tls->certificate,
                    gnutls_strerror(code));
}

static enum esp_status read_identity(const struct tls *tls, struct tls_identity **identity, struct esp_error *err)
{
    gnutls_x509_privkey_t key = NULL;
    struct chain chain = {.count = 0};
    enum esp_status status = read_chain(tls->certificate, &chain, err);

    if (status == ESP_OK)
        status = read_key(tls->key, &key, err);
    if (status == ESP_OK)
        status = join(tls, &chain, key, identity, err);
    gnutls_x509_privkey_deinit(key);
    free_chain(&chain);
    return status;
}

/* ---- life ---- */

enum esp_status tls_open(struct tls **tls, const char *certificate, const char *key, struct esp_error *err)
{
    struct tls *made = calloc(1, sizeof *made);

    *tls = NULL;
    if (!made)
        return esp_fail(err, ESP_ERROR_MEMORY, "out of memory");
    made->certificate = certificate;
    made->key = key;
    enum esp_status status = read_identity(made, &made->latest, err);
    if (status != ESP_OK) {
        free(made);
        return status;
    }
    pthread_mutex_init(&made->lock, NULL);
    *tls = made;
    return ESP_OK;
}

void tls_close(struct tls **tls)
{
    if (!*tls)
        return;
    tls_end((*tls)->latest);
    pthread_mutex_destroy(&(*tls)->lock);
    free(*tls);
    *tls = NULL;
}

enum esp_status tls_reload(struct tls *tls, struct esp_error *err)
{
    struct tls_identity *identity, *former;
    enum esp_status status = read_identity(tls, &identity, err);

    if (status != ESP_OK)
        return status;
    pthread_mutex_lock(&tls->lock);
    former = tls->latest;
    tls->latest = identity;
    pthread_mutex_unlock(&tls->lock);
    tls_end(former);
    return ESP_OK;
}

static struct tls_identity *take_latest(struct tls *tls)
{
    pthread_mutex_lock(&tls->lock);
    struct tls_identity *latest = tls->latest;
    atomic_fetch_add(&latest->users, 1);
    pthread_mutex_unlock(&tls->lock);
    return latest;
}

struct tls_facts tls_facts(struct tls *tls)
{
    struct tls_identity *identity = take_latest(tls);
    struct tls_facts facts = identity->facts;

    tls_end(identity);
    return facts;
}

/* ---- sessions ---- */

static int retrieve_none(gnutls_session_t session, const gnutls_datum_t *authorities, int authority_count,
                         const gnutls_pk_algorithm_t *algorithms, int algorithm_count, gnutls_pcert_st **certificates,
                         unsigned *certificate_count, gnutls_privkey_t *key)
{
    (void)session, (void)authorities, (void)authority_count, (void)algorithms, (void)algorithm_count;
    (void)certificates, (void)certificate_count, (void)key;
    return -1;
}

void *tls_no_certificate(void)
{
    gnutls_certificate_retrieve_function2 *function = retrieve_none;
    return (void *)function;
}

/* The client's last message of the handshake has come. */
static int on_finished(gnutls_session_t session, unsigned type, unsigned when, unsigned incoming,
                       const gnutls_datum_t *message)
{
    (void)type;
    (void)when;
    (void)message;
    if (incoming)
        connections_greeted(gnutls_db_get_ptr(session), gnutls_transport_get_int(session));
    return 0;
}

/* The library keeps the session's own pointer for itself; that of the session's database is free, as there is none. */
struct tls_identity *tls_begin(struct tls *tls, void *session, struct connections *connections)
{
    struct tls_identity *identity = take_latest(tls);

    if (gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, identity->credentials) != GNUTLS_E_SUCCESS) {
        tls_end(identity);
        return NULL;
    }
    gnutls_db_set_ptr(session, connections);
    gnutls_handshake_set_hook_function(session, GNUTLS_HANDSHAKE_FINISHED, GNUTLS_HOOK_POST, on_finished);
    return identity;
}
