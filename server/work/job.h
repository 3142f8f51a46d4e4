/* A classify request on its way from the I/O thread to an instance and back.
 *
 * Jobs are made at start-up, as many as can be in use at a time, and used over and over: what waits in the queue, what
 * the instances work at, and what the I/O threads prepare. So there is always one to take, and making a cutout costs no
 * allocation. */
#ifndef SERVER_WORK_JOB_H
#define SERVER_WORK_JOB_H

#include "espalier/cutout.h"
#include "server/options.h"
#include "server/options_json.h"

struct exchange;

struct image_source {
    const uint8_t *bytes; /* a JPEG file, or base64 text of one */
    size_t size;
    bool base64;
};

struct job {
    struct exchange *exchange;
    struct options options;    /* with the cutout */
    struct image_source image; /* points into the exchange or the document */
    struct document document;  /* a JSON body, kept while `image` points into it; or none */
    uint64_t arrived_ns;
    struct job *next; /* in the store */
};

struct job_store;

/* Thread-safe, but for create and destroy. job_store_take never fails as long as there are `count` or fewer in use;
 * gives NULL otherwise. */
enum esp_status job_store_create(struct job_store **store, const esp_model *model, size_t count, struct esp_error *err);
void job_store_destroy(struct job_store **store);
struct job *job_store_take(struct job_store *store);

/* Gives the job back, and frees its document. */
void job_store_give(struct job_store *store, struct job *job);

#endif
