/* What stands between the network and the service, and can be read again while it runs: certificate, tokens, and whose
 * pages may read. */
#ifndef SERVER_DOORS_H
#define SERVER_DOORS_H

#include "server/config/settings.h"
#include "server/http/cors.h"
#include "server/http/tls.h"
#include "server/log/log.h"
#include "server/tokens.h"

struct doors {
    const struct settings *settings;
    struct tls *tls; /* NULL: plain HTTP */
    struct tokens *tokens;
    struct cors cors;
};

/* `settings` must outlive it. After a failure doors_close is still due. */
enum esp_status doors_open(struct doors *doors, const struct settings *settings, struct esp_error *err);

/* After whoever uses it. */
void doors_close(struct doors *doors);

/* Says in the log what certificate and tokens there are; and, at level warn, what a certificate lacks, and what is
 * missing where other machines can reach the daemon: `open` is whether they can. */
void doors_report(const struct doors *doors, bool open, struct log *log);

/* Reads the files again. What is wrong stays as it was, and is in the log. For one thread. */
void doors_reload(struct doors *doors, struct log *log);

#endif
