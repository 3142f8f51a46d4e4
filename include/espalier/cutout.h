/* A cutout: which branches a request needs, and with which attention.
 *
 * Made for one model, filled by one thread, then closed; closed, it is read-only, any instance of the same model may
 * run it, and all of its numbers are known without running anything. Reset it to use it again: creating one allocates,
 * the rest does not.
 *
 *     esp_cutout_create(&cutout, model, &err);
 *     esp_cutout_select(cutout, "cat", 3, &err);          // nothing said = all
 *     esp_cutout_attend(cutout, "tabby", 5, 2.0f, &err);  // 1 everywhere else
 *     esp_cutout_close(cutout, &err);
 *     esp_cutout_cost(cutout); */
#ifndef ESPALIER_CUTOUT_H
#define ESPALIER_CUTOUT_H

#include "espalier/cost.h"
#include "espalier/error.h"
#include "espalier/model.h"

typedef struct esp_cutout esp_cutout;

/* The model must outlive the cutout. Free it with esp_cutout_destroy, which sets the pointer to NULL. */
enum esp_status esp_cutout_create(esp_cutout **cutout, const esp_model *model, struct esp_error *err);
void esp_cutout_destroy(esp_cutout **cutout);

/* Back to a new one: all categories, all weights 1, no group scores, open. */
void esp_cutout_reset(esp_cutout *cutout);

/* Adds the category, or all the categories of the group, called `name` (see esp_model_find). The trunk's name means
 * all. Saying one twice, or a group and a part of it, is allowed. */
enum esp_status esp_cutout_select(esp_cutout *cutout, const char *name, size_t length, struct esp_error *err);

/* Sets the attention weight of a node: 0 to ESP_WEIGHT_MAX, 1 is neutral, 0 silences the node and all below it. It
 * multiplies the node's output features after their activation, before children and head read them. A node outside the
 * selection may be named, without effect. ESP_ERROR_WEIGHT: not a number, or out of range. ESP_ERROR_NAME: the node has
 * been given a weight already. */
enum esp_status esp_cutout_attend(esp_cutout *cutout, const char *name, size_t length, double weight,
                                  struct esp_error *err);

/* Whether the heads of the inner branches that run give their scores, too; they are counted then. */
void esp_cutout_groups(esp_cutout *cutout, bool groups);

/* Settles what runs. ESP_ERROR_NOTHING_LEFT: every selected category is silenced. Has to be called after the last
 * change and before anything below. */
enum esp_status esp_cutout_close(esp_cutout *cutout, struct esp_error *err);

const esp_model *esp_cutout_model(const esp_cutout *cutout);

/* What it will cost to run: the engine counts the same while it runs. */
struct esp_cost esp_cutout_cost(const esp_cutout *cutout);

/* Whether the node's segment runs, and whether its score comes out. */
bool esp_cutout_runs(const esp_cutout *cutout, size_t node);
bool esp_cutout_scores(const esp_cutout *cutout, size_t node);

#endif
