#include "espalier/predict.h"

#include "core/cutout.h"

#include <math.h>

/* Whether a stands before b: the better score; equal ones in the order of the tree. */
static bool before(const struct esp_prediction *a, const struct esp_prediction *b)
{
    return a->score != b->score ? a->score > b->score : a->node < b->node;
}

static void swap(struct esp_prediction *a, struct esp_prediction *b)
{
    struct esp_prediction other = *a;
    *a = *b;
    *b = other;
}

/* Restores the heap (parents stand before their children) below `root`. */
static void sift_down(struct esp_prediction *heap, size_t count, size_t root)
{
    for (size_t child; (child = 2 * root + 1) < count; root = child) {
        if (child + 1 < count && before(&heap[child + 1], &heap[child]))
            child++;
        if (!before(&heap[child], &heap[root]))
            return;
        swap(&heap[child], &heap[root]);
    }
}

/* The `top` best to the front, in order: a heap, because qsort may allocate and `top` is mostly small. */
static void sort_best(struct esp_prediction *list, size_t count, size_t top)
{
    for (size_t root = count / 2; root-- > 0;)
        sift_down(list, count, root);
    for (size_t taken = 0; taken < top; taken++) {
        swap(&list[0], &list[count - 1 - taken]);
        sift_down(list, count - 1 - taken, 0);
    }
    for (size_t i = 0; i < count / 2; i++)
        swap(&list[i], &list[count - 1 - i]);
}

/* exp(score - best) first, then divided by their sum: no overflow, whatever the scores. */
static void softmax(struct esp_prediction *predictions, size_t count, double best)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++) {
        predictions[i].probability = exp((double)predictions[i].score - best);
        sum += predictions[i].probability;
    }
    for (size_t i = 0; i < count; i++)
        predictions[i].probability /= sum;
}

/* A huge score makes exp() infinite or 0, and the chance 0 or 1: no other value that is no number comes in between. */
double esp_confidence(const struct esp_calibration *calibration, float score)
{
    return 1 / (1 + exp(-(calibration->slope * (double)score + calibration->offset)));
}

/* Those that ran, in the order of the tree, and the best score of them. */
static size_t collect(const struct esp_job *job, struct esp_prediction *predictions, double *best)
{
    const struct esp_model *model = job->cutout->model;
    size_t count = 0;

    *best = -INFINITY;
    for (size_t category = 0; category < model->info.categories; category++) {
        size_t node = model->category_nodes[category];
        if (!esp_job_ran(job, node))
            continue;
        *best = fmax(*best, (double)job->scores[node]);
        predictions[count++] = (struct esp_prediction){.node = node, .score = job->scores[node]};
    }
    return count;
}

static void add_confidences(const struct esp_model *model, struct esp_prediction *predictions, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct esp_node_info *node = &model->nodes[predictions[i].node].info;
        predictions[i].confidence =
            model->info.calibrated ? esp_confidence(&node->calibration, predictions[i].score) : (double)NAN;
    }
}

size_t esp_predict(const struct esp_job *job, size_t top, struct esp_prediction *predictions)
{
    double best;
    size_t count = collect(job, predictions, &best);

    if (top > count)
        top = count;
    sort_best(predictions, count, top);
    softmax(predictions, count, best);
    add_confidences(job->cutout->model, predictions, top);
    return top;
}

size_t esp_predict_in_order(const struct esp_job *job, struct esp_prediction *predictions)
{
    double best;
    size_t count = collect(job, predictions, &best);

    softmax(predictions, count, best);
    add_confidences(job->cutout->model, predictions, count);
    return count;
}
