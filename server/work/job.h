/* A request for inference on its way from the I/O thread to an instance and back.
 *
 * Jobs are made at start-up, as many as can be in use at a time, and used over and over: what waits in the queue, what
 * the instances work at, and what the I/O threads prepare. So there is always one to take. */
#ifndef SERVER_WORK_JOB_H
#define SERVER_WORK_JOB_H

#include "server/models/repository.h"
#include "server/options.h"
#include "server/options_json.h"
#include "server/v2/infer.h"
#include "server/work/pictures.h"
#include "server/work/queue.h"

struct exchange;

struct job {
    struct queue_item waiting; /* comes first: the two have one address. Its kind is the network */
    struct exchange *exchange;
    struct network *network;  /* held; NULL while it isn't known */
    struct options options;   /* with a cutout of the network */
    struct pictures pictures; /* point into the exchange or the document */
    size_t begun;             /* how many of them have been read */
    struct document document; /* JSON of the body, kept while others point into it; or none */
    struct infer infer;       /* what is special about one of the Open Inference Protocol */
    uint64_t arrived_ns;
    struct job *next; /* in the store */
};

struct job_store;

/* Thread-safe, but for create and destroy. job_store_take never fails as long as there are `count` or fewer in use;
 * gives NULL otherwise. The repository must outlive the store. */
enum esp_status job_store_create(struct job_store **store, struct repository *repository, size_t count,
                                 struct esp_error *err);
void job_store_destroy(struct job_store **store);
struct job *job_store_take(struct job_store *store);

/* Has the job ask the network of that name, or the default one where `name` is NULL. False where there is none, or no
 * cutout of it is left. Once for each job. */
bool job_choose(struct job_store *store, struct job *job, const char *name, size_t length);

/* Gives the job back, frees its document, and releases its network. */
void job_store_give(struct job_store *store, struct job *job);

#endif
