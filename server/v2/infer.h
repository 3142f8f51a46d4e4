/* An inference request of the Open Inference Protocol, and what its runs put out until all of its pictures are through.
 * Each is part of a job, and used by the thread that has it. */
#ifndef SERVER_V2_INFER_H
#define SERVER_V2_INFER_H

#include "espalier/predict.h"
#include "server/http/exchange.h"
#include "server/times.h"

struct job;
struct json_t;

/* In the order in which they come where none are asked for. */
enum infer_output_name { OUTPUT_SCORES, OUTPUT_PROBABILITIES, OUTPUT_CATEGORIES, OUTPUT_CONFIDENCES, INFER_OUTPUTS };

struct infer_output {
    enum infer_output_name name;
    bool binary;
};

/* All zero is that of a job which is none. */
struct infer {
    bool asked;
    const char *id; /* the client's, in the job's document; NULL without one */
    struct infer_output outputs[INFER_OUTPUTS];
    size_t output_count;
    /* when pictures have run: */
    size_t images, categories; /* how many have, and how many categories each has put out */
    struct bytes results;      /* floats, [images][3][categories]: scores, probabilities, confidences */
    struct esp_cost cost;      /* the MACs of all of them, the rest of each */
    struct times times;        /* of the stages: added up over pictures and runs */
    size_t batch;              /* images in the largest run */
};

/* Reads the body into the job, of which the network is chosen and the options have begun: its options, pictures,
 * outputs and document. Answers and gives false where something is wrong. */
bool infer_read(struct job *job, const struct request *request, struct response *response);

/* Keeps what a picture has put out; `predictions` has room for all categories of the network, and holds them in the
 * order of the tree afterwards. False where there is no memory. */
bool infer_keep(struct infer *infer, const struct esp_job *ran, struct esp_prediction *predictions);

/* Answers 200 with the outputs when all pictures have run: `predictions` as infer_keep left them. Or 500 where they
 * cannot be written. */
void infer_answer(const struct job *job, const struct esp_prediction *predictions, struct response *response);

/* Gives back its memory, and is all zero. */
void infer_close(struct infer *infer);

/* ---- what the metadata says; JSON for the caller to release, NULL where there is no memory ---- */

struct json_t *infer_server(void);
struct json_t *infer_model(const struct esp_model_info *info);

/* How outputs are called. */
const char *infer_output_text(enum infer_output_name name);

#endif
