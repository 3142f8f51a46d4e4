#include "server/models/repository.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct repository {
    struct repository_settings settings;
    const char *root; /* the directory of several; NULL where there is one network alone */
    pthread_mutex_t lock;
    pthread_cond_t released;                  /* somebody was the last to hold a network */
    struct network *networks[REPOSITORY_MAX]; /* by name; changed by one thread, with the lock */
    size_t count;
    const char *default_name; /* of settings, or `first_name` */
    char first_name[ESP_NAME_MAX + 1];
    atomic_uint changes;
};

/* ---- holding ---- */

static struct network *find(struct repository *repository, const char *name, size_t length)
{
    for (size_t i = 0; i < repository->count; i++) {
        const char *ours = repository->networks[i]->info->name;
        if (strlen(ours) == length && !memcmp(ours, name, length))
            return repository->networks[i];
    }
    return NULL;
}

struct network *repository_take(struct repository *repository, const char *name, size_t length)
{
    if (!name) {
        name = repository->default_name;
        length = strlen(name);
    }
    pthread_mutex_lock(&repository->lock);
    struct network *network = find(repository, name, length);
    if (network)
        atomic_fetch_add(&network->holders, 1);
    pthread_mutex_unlock(&repository->lock);
    return network;
}

/* The last one must not touch the network after it has let go: its memory may be gone by then. */
void repository_release(struct repository *repository, struct network *network)
{
    if (atomic_fetch_sub(&network->holders, 1) > 1)
        return;
    pthread_mutex_lock(&repository->lock);
    pthread_cond_broadcast(&repository->released);
    pthread_mutex_unlock(&repository->lock);
}

size_t repository_take_all(struct repository *repository, struct network *networks[REPOSITORY_MAX])
{
    pthread_mutex_lock(&repository->lock);
    size_t count = repository->count;
    for (size_t i = 0; i < count; i++) {
        networks[i] = repository->networks[i];
        atomic_fetch_add(&networks[i]->holders, 1);
    }
    pthread_mutex_unlock(&repository->lock);
    return count;
}

unsigned repository_changes(struct repository *repository)
{
    return atomic_load(&repository->changes);
}

bool repository_is_default(struct repository *repository, const struct network *network)
{
    return strcmp(network->info->name, repository->default_name) == 0;
}

void repository_names(struct repository *repository, char *text, size_t size)
{
    size_t used = 0;

    *text = '\0';
    pthread_mutex_lock(&repository->lock);
    for (size_t i = 0; i < repository->count && used < size; i++)
        used += (size_t)snprintf(text + used, size - used, "%s%s", i ? ", " : "", repository->networks[i]->info->name);
    pthread_mutex_unlock(&repository->lock);
}

/* ---- changing ---- */

/* Waits for those who still hold what is no longer in the repository. */
static void retire(struct repository *repository, struct network *network)
{
    if (!network)
        return;
    repository_release(repository, network); /* the repository's own hold */
    pthread_mutex_lock(&repository->lock);
    while (atomic_load(&network->holders) > 0)
        pthread_cond_wait(&repository->released, &repository->lock);
    pthread_mutex_unlock(&repository->lock);
    network_destroy(&network);
}

static void announce(struct repository *repository)
{
    atomic_fetch_add(&repository->changes, 1);
    if (repository->settings.on_change)
        repository->settings.on_change(repository->settings.context);
}

/* Puts the network in the place of the one of its name, or adds it. */
static void put(struct repository *repository, struct network *network)
{
    size_t at = 0;

    pthread_mutex_lock(&repository->lock);
    while (at < repository->count && strcmp(repository->networks[at]->info->name, network->info->name) < 0)
        at++;
    if (at == repository->count || strcmp(repository->networks[at]->info->name, network->info->name)) {
        memmove(repository->networks + at + 1, repository->networks + at,
                (repository->count - at) * sizeof repository->networks[0]);
        repository->count++;
    }
    repository->networks[at] = network;
    pthread_mutex_unlock(&repository->lock);
}

static struct network *take_out(struct repository *repository, const char *name)
{
    pthread_mutex_lock(&repository->lock);
    struct network *network = find(repository, name, strlen(name));
    for (size_t i = 0, kept = 0; i < repository->count; i++)
        if (repository->networks[i] != network)
            repository->networks[kept++] = repository->networks[i];
    repository->count -= network != NULL;
    pthread_mutex_unlock(&repository->lock);
    return network;
}

/* Whether the network can be served under the name that it should have; NULL for whatever it calls itself. */
static enum esp_status check(const struct repository *repository, const struct network *network, const char *name,
                             const struct network *old, struct esp_error *err)
{
    if (name && strcmp(network->info->name, name))
        return esp_fail(err, ESP_ERROR_MODEL, "the network in %.200s calls itself %s, not %s; rename one of the two",
                        network->directory, network->info->name, name);
    if (!old && repository->count == REPOSITORY_MAX)
        return esp_fail(err, ESP_ERROR_TOO_LARGE, "there are %d networks already, which is the limit", REPOSITORY_MAX);
    return ESP_OK;
}

static enum esp_status load(struct repository *repository, const char *directory, const char *name,
                            struct esp_error *err)
{
    struct network *network, *old;
    enum esp_status status = network_load(&network, directory, &repository->settings.parts, err);

    if (status != ESP_OK)
        return status;
    old = find(repository, network->info->name, strlen(network->info->name));
    if ((status = check(repository, network, name, old, err)) != ESP_OK) {
        network_destroy(&network);
        return status;
    }
    if (old)
        network_follow(network, old);
    atomic_store(&network->holders, 1);
    put(repository, network);
    announce(repository);
    retire(repository, old);
    return ESP_OK;
}

/* ---- the directory ---- */

static bool holds_network(const char *root, const char *name)
{
    char path[BUNDLED_PATH_MAX];
    int length = snprintf(path, sizeof path, "%s%s%s/model.json", root, *name ? "/" : "", name);
    return length < (int)sizeof path && access(path, F_OK) == 0;
}

/* A directory that could be one of the root's networks: what begins with a dot is hidden, or leads out of it. */
static bool is_entry(const char *root, const char *name)
{
    return *name != '.' && !strchr(name, '/') && strlen(name) <= ESP_NAME_MAX && holds_network(root, name);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(a, b);
}

static size_t list_directory(const char *root, char names[REPOSITORY_MAX][ESP_NAME_MAX + 1], size_t count)
{
    DIR *directory = opendir(root);

    for (struct dirent *entry; directory && count < REPOSITORY_MAX && (entry = readdir(directory));)
        if (is_entry(root, entry->d_name))
            memcpy(names[count++], entry->d_name, strlen(entry->d_name) + 1);
    if (directory)
        closedir(directory);
    return count;
}

size_t repository_list(struct repository *repository, char names[REPOSITORY_MAX][ESP_NAME_MAX + 1])
{
    size_t count = 0, kept = 0;

    if (repository->root)
        count = list_directory(repository->root, names, count);
    for (size_t i = 0; i < repository->count && count < REPOSITORY_MAX; i++)
        snprintf(names[count++], ESP_NAME_MAX + 1, "%s", repository->networks[i]->info->name);
    qsort(names, count, sizeof names[0], by_name);
    for (size_t i = 0; i < count; i++)
        if (kept == 0 || strcmp(names[kept - 1], names[i]))
            memmove(names[kept++], names[i], sizeof names[0]);
    return kept;
}

/* Where the network of that name lies. */
static enum esp_status directory_of(struct repository *repository, const char *name, char directory[BUNDLED_PATH_MAX],
                                    struct esp_error *err)
{
    const struct network *served = find(repository, name, strlen(name));
    char names[512];
    int length;

    if (served)
        length = snprintf(directory, BUNDLED_PATH_MAX, "%s", served->directory);
    else if (repository->root && is_entry(repository->root, name))
        length = snprintf(directory, BUNDLED_PATH_MAX, "%s/%s", repository->root, name);
    else {
        repository_names(repository, names, sizeof names);
        return esp_fail(err, ESP_ERROR_UNKNOWN_NAME, "there is no network '%.64s'%s%.200s; there are %.200s", name,
                        repository->root ? " in " : "", repository->root ? repository->root : "", names);
    }
    return length < BUNDLED_PATH_MAX ? ESP_OK : esp_fail(err, ESP_ERROR_IO, "the path of the network is too long");
}

enum esp_status repository_load(struct repository *repository, const char *name, struct esp_error *err)
{
    char directory[BUNDLED_PATH_MAX];
    enum esp_status status = directory_of(repository, name, directory, err);

    return status == ESP_OK ? load(repository, directory, name, err) : status;
}

enum esp_status repository_unload(struct repository *repository, const char *name, struct esp_error *err)
{
    char names[512];

    if (!strcmp(name, repository->default_name))
        return esp_fail(err, ESP_ERROR_ARGUMENT, "%s is the default network, which stays", name);
    struct network *network = take_out(repository, name);
    if (!network) {
        repository_names(repository, names, sizeof names);
        return esp_fail(err, ESP_ERROR_UNKNOWN_NAME, "there is no network '%.64s'; there are %.400s", name, names);
    }
    announce(repository);
    retire(repository, network);
    return ESP_OK;
}

/* ---- life ---- */

static enum esp_status load_several(struct repository *repository, struct esp_error *err)
{
    char names[REPOSITORY_MAX][ESP_NAME_MAX + 1], path[BUNDLED_PATH_MAX];
    size_t count = list_directory(repository->root, names, 0);
    enum esp_status status = ESP_OK;

    if (count == 0)
        return esp_fail(err, ESP_ERROR_IO,
                        "%.300s is neither a network nor a directory of networks: there is no model.json in it",
                        repository->root);
    for (size_t i = 0; i < count && status == ESP_OK; i++) {
        if (snprintf(path, sizeof path, "%s/%s", repository->root, names[i]) >= (int)sizeof path)
            return esp_fail(err, ESP_ERROR_IO, "the path of the network %s is too long", names[i]);
        status = load(repository, path, names[i], err);
    }
    return status;
}

static enum esp_status choose_default(struct repository *repository, struct esp_error *err)
{
    const char *wanted = repository->settings.default_model;
    char names[400];

    snprintf(repository->first_name, sizeof repository->first_name, "%s", repository->networks[0]->info->name);
    repository->default_name = *wanted ? wanted : repository->first_name;
    if (find(repository, repository->default_name, strlen(repository->default_name)))
        return ESP_OK;
    repository_names(repository, names, sizeof names);
    return esp_fail(err, ESP_ERROR_ARGUMENT, "--default-model is '%.64s'; there are %s", wanted, names);
}

enum esp_status repository_open(struct repository **repository, const struct repository_settings *settings,
                                struct esp_error *err)
{
    struct repository *made = calloc(1, sizeof *made);
    const char *directory = settings->directory;
    enum esp_status status;

    *repository = made;
    if (!made)
        return esp_fail(err, ESP_ERROR_MEMORY, "out of memory");
    made->settings = *settings;
    pthread_mutex_init(&made->lock, NULL);
    pthread_cond_init(&made->released, NULL);
    if (*directory && access(directory, R_OK) != 0)
        return esp_fail(err, ESP_ERROR_IO, "cannot open %.300s: %s", directory, strerror(errno));
    if (*directory && !holds_network(directory, ""))
        made->root = directory;
    status = made->root ? load_several(made, err) : load(made, directory, NULL, err);
    return status == ESP_OK ? choose_default(made, err) : status;
}

void repository_close(struct repository **repository)
{
    if (!*repository)
        return;
    for (size_t i = 0; i < (*repository)->count; i++)
        network_destroy(&(*repository)->networks[i]);
    pthread_cond_destroy(&(*repository)->released);
    pthread_mutex_destroy(&(*repository)->lock);
    free(*repository);
    *repository = NULL;
}
