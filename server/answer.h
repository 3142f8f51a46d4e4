/* What the service answers when all went well: the JSON of /classify, /cost and /categories. Thread-safe. */
#ifndef SERVER_ANSWER_H
#define SERVER_ANSWER_H

#include "espalier/predict.h"
#include "server/http/exchange.h"
#include "server/times.h"

struct json_t; /* of jansson.h, which not everybody knows */

struct answer {
    const char *request_id; /* of a request; NULL on the command line */
    const char *image;      /* the file's name on the command line; NULL in a request */
    const struct esp_job *ran;
    const struct esp_prediction *predictions;
    size_t count;
    bool groups;  /* the scores of the inner branches, too */
    size_t batch; /* images that ran together */
    struct times times;
};

/* Answers 200 with the predictions, or 500 where they cannot be written (no memory, or a score that is no number). */
void answer_classify(const struct answer *answer, struct response *response);

/* Its parts for other answers; JSON for the caller to release, NULL where there is no memory. The cost is that of
 * `images` pictures: the MACs of all of them, the rest of each. */
struct json_t *answer_cost_json(const esp_model *model, const struct esp_cost *cost, size_t images, size_t batch);
struct json_t *answer_times_json(const struct times *times);
void answer_time_header(const struct times *times, struct response *response);

/* Answers 200 with what the cutout will cost; where a search was asked for, with the bounds of that. */
void answer_cost(const esp_cutout *cutout, struct response *response);

/* The tree with what each node costs, as JSON text for the caller to free; NULL where there is no memory. */
char *answer_categories(const esp_model *model);

#endif
