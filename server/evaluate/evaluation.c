#include "server/evaluate/evaluation.h"

#include "server/evaluate/pictures.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static void free_picture(struct evaluated *picture)
{
    if (!picture)
        return;
    free(picture->name);
    free(picture->fault);
    free(picture->scores);
    free(picture->swept);
    free(picture);
}

void evaluation_release(struct evaluation *evaluation)
{
    for (size_t i = 0; i < evaluation->count; i++)
        free_picture(evaluation->pictures[i]);
    free(evaluation->pictures);
    for (size_t i = 0; i < evaluation->unknown_count; i++)
        free(evaluation->unknown[i].name);
    free(evaluation->unknown);
    evaluation->pictures = NULL;
    evaluation->unknown = NULL;
    evaluation->count = evaluation->unknown_count = 0;
}

static float *no_scores(size_t count)
{
    float *scores = malloc((count ? count : 1) * sizeof *scores);
    for (size_t i = 0; scores && i < count; i++)
        scores[i] = NAN;
    return scores;
}

/* Makes room for one more element of `size` bytes where `count` is a power of two or 0. */
static void *grown(void *array, size_t count, size_t size)
{
    return count & (count - 1) ? array : realloc(array, (count ? 2 * count : 1) * size);
}

struct evaluated *evaluation_add(struct evaluation *evaluation, char *name, size_t truth)
{
    const struct weight_sweep *sweep = &evaluation->sweep;
    struct evaluated *picture = calloc(1, sizeof *picture);
    void *room = grown(evaluation->pictures, evaluation->count, sizeof *evaluation->pictures);

    if (room)
        evaluation->pictures = room;
    if (!picture || !room) {
        free(name);
        free(picture);
        return NULL;
    }
    make_printable(name);
    picture->name = name;
    picture->truth = truth;
    picture->scores = no_scores(esp_model_info(evaluation->model)->categories);
    if (sweep->weights_count)
        picture->swept = no_scores(sweep->weights_count * sweep->attended_count);
    if (!picture->scores || (sweep->weights_count && !picture->swept)) {
        free_picture(picture);
        return NULL;
    }
    return evaluation->pictures[evaluation->count++] = picture;
}

/* The folder that the picture lies in, for the caller to free; "" where it lies in none. */
static char *folder_of(const char *path)
{
    const char *end = strrchr(path, '/'), *begin = end;

    if (!end)
        return strdup("");
    while (begin > path && begin[-1] != '/')
        begin--;
    return strndup(begin, (size_t)(end - begin));
}

bool evaluation_unknown(struct evaluation *evaluation, const char *path)
{
    char *name = folder_of(path);

    if (!name)
        return false;
    make_printable(name);
    for (size_t i = evaluation->unknown_count; i-- > 0;) /* mostly the last one */
        if (strcmp(evaluation->unknown[i].name, name) == 0) {
            evaluation->unknown[i].pictures++;
            free(name);
            return true;
        }
    void *room = grown(evaluation->unknown, evaluation->unknown_count, sizeof *evaluation->unknown);
    if (!room) {
        free(name);
        return false;
    }
    evaluation->unknown = room;
    evaluation->unknown[evaluation->unknown_count++] = (struct unknown_label){name, 1};
    return true;
}
