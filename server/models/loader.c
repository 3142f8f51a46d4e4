#include "server/models/loader.h"

#include "server/clock.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/* A tenth of the time that a thread of the usual priority gets, where both want the same CPU. */
enum { NICE = 10 };

struct task {
    bool all; /* all networks anew; what follows is of no meaning then */
    enum loader_verb verb;
    char name[ESP_NAME_MAX + 1];
    loader_done *done;
    void *context;
};

struct loader {
    struct repository *repository;
    loader_done *report;
    void *report_context;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t asked;
    struct task tasks[LOADER_WAITING_MAX + 1]; /* the first `waiting`, in order; one of them may be for all */
    size_t waiting;
    bool stopping;
};

/* ---- doing ---- */

static void tell(struct loader *loader, const struct task *task, const struct loader_result *result)
{
    loader->report(loader->report_context, result);
    if (task->done)
        task->done(task->context, result);
}

static void carry_out(struct loader *loader, const struct task *task)
{
    struct esp_error err = {0};
    uint64_t begin = clock_now();
    struct loader_result result = {.verb = task->verb, .name = task->name};

    result.status = task->verb == LOADER_LOAD ? repository_load(loader->repository, task->name, &err)
                                              : repository_unload(loader->repository, task->name, &err);
    result.text = err.text;
    result.seconds = (double)(clock_now() - begin) / 1e9;
    tell(loader, task, &result);
}

static bool stops(struct loader *loader)
{
    pthread_mutex_lock(&loader->lock);
    bool stopping = loader->stopping;
    pthread_mutex_unlock(&loader->lock);
    return stopping;
}

static void carry_out_all(struct loader *loader)
{
    char names[REPOSITORY_MAX][ESP_NAME_MAX + 1];
    size_t count = repository_list(loader->repository, names);

    for (size_t i = 0; i < count && !stops(loader); i++) {
        struct task task = {.verb = LOADER_LOAD};
        memcpy(task.name, names[i], sizeof task.name);
        carry_out(loader, &task);
    }
}

/* Waits for something to do. False when it stops. */
static bool next(struct loader *loader, struct task *task)
{
    pthread_mutex_lock(&loader->lock);
    while (!loader->stopping && loader->waiting == 0)
        pthread_cond_wait(&loader->asked, &loader->lock);
    bool goes_on = !loader->stopping;
    if (goes_on) {
        *task = loader->tasks[0];
        memmove(loader->tasks, loader->tasks + 1, --loader->waiting * sizeof loader->tasks[0]);
    }
    pthread_mutex_unlock(&loader->lock);
    return goes_on;
}

static void *work_on(void *context)
{
    struct loader *loader = context;
    struct task task;

    setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), NICE); /* of this thread alone, on Linux */
    while (next(loader, &task)) {
        if (task.all)
            carry_out_all(loader);
        else
            carry_out(loader, &task);
    }
    return NULL;
}

/* ---- asking ---- */

bool loader_ask(struct loader *loader, enum loader_verb verb, const char *name, size_t length, loader_done *done,
                void *context)
{
    struct task task = {.verb = verb, .done = done, .context = context};

    snprintf(task.name, sizeof task.name, "%.*s", (int)(length < sizeof task.name ? length : sizeof task.name), name);
    pthread_mutex_lock(&loader->lock);
    bool room = loader->waiting < LOADER_WAITING_MAX && !loader->stopping;
    if (room)
        loader->tasks[loader->waiting++] = task;
    pthread_cond_signal(&loader->asked);
    pthread_mutex_unlock(&loader->lock);
    return room;
}

/* In its turn, like the others: who asks for all again and again keeps nobody from being served. */
void loader_ask_all(struct loader *loader)
{
    bool asked = false;

    pthread_mutex_lock(&loader->lock);
    for (size_t i = 0; i < loader->waiting; i++)
        asked |= loader->tasks[i].all;
    if (!asked)
        loader->tasks[loader->waiting++] = (struct task){.all = true};
    pthread_cond_signal(&loader->asked);
    pthread_mutex_unlock(&loader->lock);
}

/* ---- life ---- */

enum esp_status loader_start(struct loader **loader, struct repository *repository, loader_done *report,
                             void *report_context, struct esp_error *err)
{
    struct loader *made = calloc(1, sizeof *made);

    *loader = made;
    if (!made)
        return esp_fail(err, ESP_ERROR_MEMORY, "out of memory");
    made->repository = repository;
    made->report = report;
    made->report_context = report_context;
    pthread_mutex_init(&made->lock, NULL);
    pthread_cond_init(&made->asked, NULL);
    if (pthread_create(&made->thread, NULL, work_on, made) == 0)
        return ESP_OK;
    free(made);
    *loader = NULL;
    return esp_fail(err, ESP_ERROR_MEMORY, "a thread could not be started");
}

static void give_up(const struct task *task)
{
    struct loader_result result = {.verb = task->verb, .name = task->name, .text = "", .stopped = true};

    if (task->done)
        task->done(task->context, &result);
}

void loader_stop(struct loader **loader)
{
    struct loader *stopped = *loader;

    if (!stopped)
        return;
    pthread_mutex_lock(&stopped->lock);
    stopped->stopping = true;
    pthread_cond_signal(&stopped->asked);
    pthread_mutex_unlock(&stopped->lock);
    pthread_join(stopped->thread, NULL);
    for (size_t i = 0; i < stopped->waiting; i++)
        give_up(&stopped->tasks[i]);
    pthread_cond_destroy(&stopped->asked);
    pthread_mutex_destroy(&stopped->lock);
    free(stopped);
    *loader = NULL;
}
