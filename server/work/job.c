#include "server/work/job.h"

#include <pthread.h>
#include <stdlib.h>

struct job_store {
    struct repository *repository;
    pthread_mutex_t lock;
    struct job *free; /* a list */
    struct job jobs[];
};

enum esp_status job_store_create(struct job_store **store, struct repository *repository, size_t count,
                                 struct esp_error *err)
{
    struct job_store *made = calloc(1, sizeof *made + count * sizeof made->jobs[0]);

    *store = made;
    if (!made)
        return esp_fail(err, ESP_ERROR_MEMORY, "out of memory");
    made->repository = repository;
    pthread_mutex_init(&made->lock, NULL);
    for (size_t i = 0; i < count; i++) {
        made->jobs[i].next = made->free;
        made->free = &made->jobs[i];
    }
    return ESP_OK;
}

void job_store_destroy(struct job_store **store)
{
    if (!*store)
        return;
    pthread_mutex_destroy(&(*store)->lock);
    free(*store);
    *store = NULL;
}

struct job *job_store_take(struct job_store *store)
{
    pthread_mutex_lock(&store->lock);
    struct job *job = store->free;
    if (job)
        store->free = job->next;
    pthread_mutex_unlock(&store->lock);
    if (job)
        job->pictures.count = job->begun = 0;
    return job;
}

bool job_choose(struct job_store *store, struct job *job, const char *name, size_t length)
{
    struct network *network = repository_take(store->repository, name, length);
    esp_cutout *cutout = network ? network_cutout_take(network) : NULL;

    if (!cutout) {
        if (network)
            repository_release(store->repository, network);
        return false;
    }
    job->network = network;
    job->options.cutout = cutout;
    return true;
}

void job_store_give(struct job_store *store, struct job *job)
{
    infer_close(&job->infer);
    document_close(&job->document);
    if (job->network) {
        network_cutout_give(job->network, job->options.cutout);
        repository_release(store->repository, job->network);
        job->network = NULL;
    }
    pthread_mutex_lock(&store->lock);
    job->next = store->free;
    store->free = job;
    pthread_mutex_unlock(&store->lock);
}
