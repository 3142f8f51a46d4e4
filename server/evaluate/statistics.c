#include "server/evaluate/statistics.h"

#include "espalier/predict.h"

#include <math.h>

static const double confidence_limits[CONFIDENCE_LIMITS] = {0.2, 0.5, 0.8, 0.9};

static double share(double part, double whole)
{
    return whole > 0 ? part / whole : (double)NAN;
}

static size_t categories(const struct evaluation *evaluation)
{
    return esp_model_info(evaluation->model)->categories;
}

/* The category with the highest score, the first of equals; SIZE_MAX where none ran. */
static size_t first_answer(const float *scores, size_t count)
{
    size_t best = SIZE_MAX;

    for (size_t i = 0; i < count; i++)
        if (!isnan(scores[i]) && (best == SIZE_MAX || scores[i] > scores[best]))
            best = i;
    return best;
}

/* How many categories stand before this one; all of them where it did not run. */
static size_t rank(const float *scores, size_t count, size_t category)
{
    size_t before = 0;

    if (isnan(scores[category]))
        return count;
    for (size_t i = 0; i < count; i++)
        before += scores[i] > scores[category] || (scores[i] == scores[category] && i < category);
    return before;
}

struct accuracy statistics_accuracy(const struct evaluation *evaluation)
{
    size_t pictures = 0, first = 0, five = 0;

    for (size_t i = 0; i < evaluation->count; i++) {
        const struct evaluated *picture = evaluation->pictures[i];
        if (picture->fault || !evaluation->selected[picture->truth])
            continue;
        size_t place = rank(picture->scores, categories(evaluation), picture->truth);
        pictures++;
        first += place < 1;
        five += place < 5;
    }
    return (struct accuracy){pictures, share((double)first, (double)pictures), share((double)five, (double)pictures)};
}

static bool below(const struct evaluation *evaluation, size_t category, size_t node)
{
    size_t leaf = category == SIZE_MAX ? SIZE_MAX : esp_model_category_node(evaluation->model, category);
    return leaf > node && leaf < esp_model_node(evaluation->model, node)->subtree_end;
}

struct group_accuracy statistics_group(const struct evaluation *evaluation, size_t node)
{
    size_t pictures = 0, first = 0, group = 0;

    for (size_t i = 0; i < evaluation->count; i++) {
        const struct evaluated *picture = evaluation->pictures[i];
        if (picture->fault || !evaluation->selected[picture->truth] || !below(evaluation, picture->truth, node))
            continue;
        size_t answer = first_answer(picture->scores, categories(evaluation));
        pictures++;
        first += answer == picture->truth;
        group += below(evaluation, answer, node);
    }
    return (struct group_accuracy){pictures, share((double)first, (double)pictures),
                                   share((double)group, (double)pictures)};
}

/* ---- calibration ---- */

static void count_pair(void *context, double said, bool so)
{
    struct calibration *calibration = context;
    int place = (int)(said * CALIBRATION_BINS);
    struct bin *bin = &calibration->bins[place < CALIBRATION_BINS ? place : CALIBRATION_BINS - 1];

    bin->count++;
    bin->mean += said;
    bin->right += so;
}

/* Sums become means. */
static void settle(struct calibration *calibration)
{
    double distances = 0, all = 0;

    for (int i = 0; i < CALIBRATION_BINS; i++) {
        struct bin *bin = &calibration->bins[i];
        distances += fabs(bin->mean - bin->right);
        all += (double)bin->count;
        bin->mean = share(bin->mean, (double)bin->count);
        bin->right = share(bin->right, (double)bin->count);
    }
    calibration->error = share(distances, all);
}

/* Softmax over the categories that ran. */
static double probability(const float *scores, size_t count, size_t category)
{
    double sum = 0;

    for (size_t i = 0; i < count; i++)
        if (!isnan(scores[i]))
            sum += exp((double)scores[i] - (double)scores[category]);
    return 1 / sum;
}

void statistics_probability(const struct evaluation *evaluation, struct calibration *calibration)
{
    *calibration = (struct calibration){0};
    for (size_t i = 0; i < evaluation->count; i++) {
        const struct evaluated *picture = evaluation->pictures[i];
        size_t answer = first_answer(picture->scores, categories(evaluation));
        if (!picture->fault && answer != SIZE_MAX)
            count_pair(calibration, probability(picture->scores, categories(evaluation), answer),
                       answer == picture->truth);
    }
    settle(calibration);
}

/* Calls `count` for every pair of a picture and a category that ran. */
static void each_confidence(const struct evaluation *evaluation, void (*count)(void *counts, double said, bool so),
                            void *counts)
{
    for (size_t i = 0; i < evaluation->count; i++) {
        const struct evaluated *picture = evaluation->pictures[i];
        for (size_t c = 0; c < categories(evaluation) && !picture->fault; c++) {
            size_t node = esp_model_category_node(evaluation->model, c);
            if (!isnan(picture->scores[c]))
                count(counts, esp_confidence(&esp_model_node(evaluation->model, node)->calibration, picture->scores[c]),
                      c == picture->truth);
        }
    }
}

void statistics_confidence(const struct evaluation *evaluation, struct calibration *calibration)
{
    *calibration = (struct calibration){0};
    each_confidence(evaluation, count_pair, calibration);
    settle(calibration);
}

/* ---- a single category ---- */

struct counts {
    double own, others, own_above[CONFIDENCE_LIMITS], others_above[CONFIDENCE_LIMITS];
};

static void count_single(void *context, double said, bool so)
{
    struct counts *counts = context;

    *(so ? &counts->own : &counts->others) += 1;
    for (int i = 0; i < CONFIDENCE_LIMITS; i++)
        (so ? counts->own_above : counts->others_above)[i] += said > confidence_limits[i];
}

void statistics_single(const struct evaluation *evaluation, struct single singles[CONFIDENCE_LIMITS])
{
    struct counts counts = {0};

    each_confidence(evaluation, count_single, &counts);
    for (int i = 0; i < CONFIDENCE_LIMITS; i++)
        singles[i] = (struct single){confidence_limits[i], share(counts.others_above[i], counts.others),
                                     share(counts.own_above[i], counts.own),
                                     share(counts.own_above[i], counts.own_above[i] + counts.others_above[i])};
}

/* ---- attention ---- */

static bool is_attended(const struct weight_sweep *sweep, size_t category)
{
    for (size_t i = 0; i < sweep->attended_count; i++)
        if (sweep->attended[i] == category)
            return true;
    return false;
}

/* The first answer where the attended categories have their swept scores and the others their plain ones. Law 1: it is
 * that of one run with this attention. */
static size_t attended_answer(const struct evaluation *evaluation, const struct evaluated *picture, size_t weight)
{
    const struct weight_sweep *sweep = &evaluation->sweep;
    const float *swept = picture->swept + weight * sweep->attended_count;
    size_t best = SIZE_MAX, next = 0;
    float best_score = 0;

    for (size_t i = 0; i < categories(evaluation); i++) {
        bool attended = next < sweep->attended_count && sweep->attended[next] == i;
        float score = attended ? swept[next++] : picture->scores[i];
        if (!isnan(score) && (best == SIZE_MAX || score > best_score)) {
            best = i;
            best_score = score;
        }
    }
    return best;
}

struct attended statistics_attended(const struct evaluation *evaluation, size_t weight)
{
    double own = 0, others = 0, right = 0, answers = 0, wrong_other = 0;

    for (size_t i = 0; i < evaluation->count; i++) {
        const struct evaluated *picture = evaluation->pictures[i];
        if (picture->fault)
            continue;
        size_t answer = attended_answer(evaluation, picture, weight);
        bool shows = is_attended(&evaluation->sweep, picture->truth), said = is_attended(&evaluation->sweep, answer);
        own += shows;
        others += !shows;
        right += shows && answer == picture->truth;
        answers += said;
        wrong_other += said && !shows;
    }
    return (struct attended){share(right, own), share(right, answers), share(wrong_other, others)};
}

void statistics_cost(const struct evaluation *evaluation, double *macs, double *parameters)
{
    double pictures = 0;

    *macs = *parameters = 0;
    for (size_t i = 0; i < evaluation->count; i++) {
        pictures += !evaluation->pictures[i]->fault;
        *macs += (double)evaluation->pictures[i]->macs;
        *parameters += (double)evaluation->pictures[i]->parameters;
    }
    *macs = share(*macs, pictures);
    *parameters = share(*parameters, pictures);
}
