/* The thread that loads and unloads networks while others serve: one thing after the other, at a lower priority than
 * theirs, so that they notice little of it. All functions are thread-safe but start and stop. */
#ifndef SERVER_MODELS_LOADER_H
#define SERVER_MODELS_LOADER_H

#include "server/models/repository.h"

enum { LOADER_WAITING_MAX = 16 };

struct loader;

enum loader_verb { LOADER_LOAD, LOADER_UNLOAD };

/* How it went. */
struct loader_result {
    enum loader_verb verb;
    const char *name;
    enum esp_status status;
    const char *text; /* of an error; "" without one */
    double seconds;
    bool stopped; /* it was not done: the loader stops */
};

/* Called by the loader's thread when something is done; `context` is the asker's. */
typedef void loader_done(void *context, const struct loader_result *result);

/* `report` is called for each thing that was done, before the asker's own `loader_done`. */
enum esp_status loader_start(struct loader **loader, struct repository *repository, loader_done *report,
                             void *report_context, struct esp_error *err);

/* Tells those who still wait that it stops, waits for what is being done, and sets the pointer to NULL. What is being
 * done may wait for requests, so these have to be answered meanwhile. */
void loader_stop(struct loader **loader);

/* Has it done, and `done` called. False where LOADER_WAITING_MAX wait already, or it stops. `name` is copied. */
bool loader_ask(struct loader *loader, enum loader_verb verb, const char *name, size_t length, loader_done *done,
                void *context);

/* Has all networks loaded anew, and those that came into the directory since. Asking twice before it begins is asking
 * once. */
void loader_ask_all(struct loader *loader);

#endif
