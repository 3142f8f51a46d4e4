/* Coarse to fine: one image's way down the tree where nobody has said which categories matter.
 *
 * The children of a branch that the selection and silenced nodes leave are its family. A family runs whole or not at
 * all: a choice among a part of it would be blind. Categories in it give their scores and are part of the answer; its
 * inner branches wait with what they promise, and the search descends into the most promising one, which is to run the
 * family of that one, and so on, for as long as beam and budget let it.
 *
 * What an inner branch b promises is the logarithm of the chance that the category lies below it, by the heads' own
 * word:
 *
 *     promise(trunk) = 0
 *     promise(b) = promise(parent of b) + score(b) - log(sum of exp(score(s)) over the inner branches s of b's family)
 *
 * that is a softmax over siblings, times the chance of the parent: so branches of different parents can be compared. An
 * only inner branch takes over its parent's promise, and needs no head. Categories are left out of the sum, as their
 * scores were trained against each other and not against those of groups. Of equal promises the one nearer to the trunk
 * goes first, then the order of the tree. Attention weighs in, as it does in every score.
 *
 * A beam of k descends into no more than k inner branches of each level. A promise is never greater than the parent's,
 * so the search comes to the branches of a level from the best down: the first k are the k best, just as if each level
 * had been run as a whole before the next one. It does not descend where the levels below are used up, as nothing that
 * it found there could be kept. A level with no more than k inner branches leaves nothing to choose, and the heads
 * there do not run unless a level below needs their promises.
 *
 * A budget of N MACs is for all that runs, the trunk included. What is left has to pay for a family and for the
 * cheapest way from there to a category; a branch that is too dear is passed over for the next best, and noted. Until
 * a category has come out, a step must also leave what the cheapest way takes that the beam is sure to keep open, so
 * that one always does. A budget that pays for everything leaves nothing to choose.
 *
 * What was chosen changes no score's bits (law 1), and what it cost is counted by the layers that ran (law 2). The
 * outputs of inner branches are kept, each in a place of its own in the memory of the instance that searches, so none
 * is computed twice; other instances may take over branches of a family. Nothing is allocated (law 4). */
#ifndef ESP_CORE_SEARCH_H
#define ESP_CORE_SEARCH_H

#include "core/run.h"

/* What stands in esp_job.ran. */
enum { ESP_RAN = 1, ESP_DESCENDED = 2, ESP_TOO_DEAR = 4 };

/* Searches for one image of the run, whose cutout chooses and whose trunk has run in the instance of `walk`. On return
 * all of it is done, whoever did it. */
void esp_search(struct esp_walk *walk, size_t job);

#endif
