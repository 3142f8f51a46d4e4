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
 *     esp_cutout_cost(cutout);
 *
 * Coarse to fine: who does not know the categories lets the network search for them. With a beam of k a run descends
 * only into the k most promising inner branches of each level; with a budget it spends no more than so many MACs. Which
 * branches run is then known when the image has run (see esp_job), and the cost lies within known bounds. core/search.h
 * says how branches are compared. */
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

/* A search descends into at most `branches` inner branches of each level of the tree; 0, and a new cutout, into all. */
void esp_cutout_beam(esp_cutout *cutout, size_t branches);

/* It spends at most `macs` for each image, all that runs included: trunk, segments and heads; 0, and a new cutout, as
 * many as it takes. */
void esp_cutout_budget(esp_cutout *cutout, uint64_t macs);

/* Settles what runs. ESP_ERROR_NOTHING_LEFT: every selected category is silenced. ESP_ERROR_SEARCH: a search would have
 * to choose between branches without scores of their own, or its budget ends before any category; the text says how
 * many MACs it takes. Has to be called after the last change and before anything below. */
enum esp_status esp_cutout_close(esp_cutout *cutout, struct esp_error *err);

const esp_model *esp_cutout_model(const esp_cutout *cutout);

/* What it costs to run all of it: what the engine counts, too, while it runs, unless a search chooses. */
struct esp_cost esp_cutout_cost(const esp_cutout *cutout);

/* Whether a search has to choose, so that what runs, and what it costs, depends on the image. It does not where no
 * level has more inner branches than the beam and the budget covers everything. */
bool esp_cutout_chooses(const esp_cutout *cutout);

/* Bounds of the MACs of a run, for any image; where nothing is chosen, both are the cost. */
uint64_t esp_cutout_macs_least(const esp_cutout *cutout);
uint64_t esp_cutout_macs_most(const esp_cutout *cutout);

/* The beam and the budget that were set; 0 for none. */
size_t esp_cutout_get_beam(const esp_cutout *cutout);
uint64_t esp_cutout_get_budget(const esp_cutout *cutout);

/* Whether the node's segment runs, and whether its score comes out: of a search, where it gets there. */
bool esp_cutout_runs(const esp_cutout *cutout, size_t node);
bool esp_cutout_scores(const esp_cutout *cutout, size_t node);

#endif
