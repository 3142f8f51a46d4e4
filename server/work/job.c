#include "server/work/job.h"

#include <pthread.h>
#include <stdlib.h>

struct job_store {
    pthread_mutex_t lock;
    struct job *free; /* a list */
    size_t count;
    struct job jobs[]; /* [count] */
};

enum esp_status job_store_create(struct job_store **store, const esp_model *model, size_t count, struct esp_error *err)
{
    struct job_store *made = calloc(1, sizeof *made + count * sizeof made->jobs[0]);
    enum esp_status status = ESP_OK;

    *store = made;
    if (!made)
        return esp_fail(err, ESP_ERROR_MEMORY, "out of memory");
    pthread_mutex_init(&made->lock, NULL);
    made->count = count;
    for (size_t i = 0; i < count && status == ESP_OK; i++) {
        status = esp_cutout_create(&made->jobs[i].options.cutout, model, err);
        made->jobs[i].next = made->free;
        made->free = &made->jobs[i];
    }
    if (status != ESP_OK)
        job_store_destroy(store);
    return status;
}

void job_store_destroy(struct job_store **store)
{
    if (!*store)
        return;
    for (size_t i = 0; i < (*store)->count; i++)
        esp_cutout_destroy(&(*store)->jobs[i].options.cutout);
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
    return job;
}

void job_store_give(struct job_store *store, struct job *job)
{
    document_close(&job->document);
    pthread_mutex_lock(&store->lock);
    job->next = store->free;
    store->free = job;
    pthread_mutex_unlock(&store->lock);
}
