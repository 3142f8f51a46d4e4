/* The networks that are served, by name, and how one takes the place of another while requests run.
 *
 * Whoever uses a network holds it: taken from here by name, or all of them, and released when done. A network that has
 * been replaced or unloaded serves those who hold it to the end, and its memory is given back after the last one. All
 * functions are thread-safe; those that load or unload are for one thread at a time (loader.h), and take their time. */
#ifndef SERVER_MODELS_REPOSITORY_H
#define SERVER_MODELS_REPOSITORY_H

#include "espalier/limits.h"
#include "server/models/network.h"

enum { REPOSITORY_MAX = 64 }; /* networks */

struct repository;

struct repository_settings {
    const char *directory;     /* a model directory, or one of several; "" for the bundled network */
    const char *default_model; /* name; "" for the first one by name */
    struct network_parts parts;
    void (*on_change)(void *context); /* the networks are others: who holds all of them had better look */
    void *context;
};

/* Loads all there are. In a directory of several, each is called what its directory is called. Whatever it returns,
 * repository_close is due; when nobody holds anything any more. */
enum esp_status repository_open(struct repository **repository, const struct repository_settings *settings,
                                struct esp_error *err);
void repository_close(struct repository **repository);

/* The network of that name, or the default one where `name` is NULL; NULL where there is none. Release it. */
struct network *repository_take(struct repository *repository, const char *name, size_t length);
void repository_release(struct repository *repository, struct network *network);

/* All networks, by name; each is to be released. Gives their number. */
size_t repository_take_all(struct repository *repository, struct network *networks[REPOSITORY_MAX]);

/* Changes whenever the networks do. */
unsigned repository_changes(struct repository *repository);

bool repository_is_default(struct repository *repository, const struct network *network);

/* Writes the names, with commas between them, for people; cut where they don't fit. */
void repository_names(struct repository *repository, char *text, size_t size);

/* Loads the network of that name anew, or one that came into the directory since. The one that served under this name
 * goes on until the new one is complete, and is gone, with its memory, when this returns. ESP_ERROR_UNKNOWN_NAME: there
 * is none of this name. Any other error: the text says what is wrong with the new one, and the old one serves on. */
enum esp_status repository_load(struct repository *repository, const char *name, struct esp_error *err);

/* The names of all that there are to load: those that serve, and those in the directory. Gives their number. */
size_t repository_list(struct repository *repository, char names[REPOSITORY_MAX][ESP_NAME_MAX + 1]);

/* ESP_ERROR_ARGUMENT: it is the default one, which stays. ESP_ERROR_UNKNOWN_NAME. */
enum esp_status repository_unload(struct repository *repository, const char *name, struct esp_error *err);

#endif
