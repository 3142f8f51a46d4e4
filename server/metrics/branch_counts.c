#include "server/metrics/branch_counts.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { CACHE_LINE = 64, COUNTERS_PER_LINE = CACHE_LINE / sizeof(uint64_t) };

struct node {
    char *path;
    size_t subtree_end;
};

struct branch_counts {
    atomic_size_t holders;
    size_t workers, count;
    size_t stride;               /* of a row: whole cache lines */
    atomic_uint_least64_t *rows; /* [workers][stride] */
    struct node nodes[];         /* [count] */
};

static void destroy(struct branch_counts *counts)
{
    for (size_t i = 0; i < counts->count; i++)
        free(counts->nodes[i].path);
    free(counts->rows);
    free(counts);
}

static bool copy_node(struct node *node, const struct esp_node_info *info)
{
    node->path = strdup(info->path);
    node->subtree_end = info->subtree_end;
    return node->path != NULL;
}

static bool make_rows(struct branch_counts *counts)
{
    size_t size;

    counts->stride = (counts->count + COUNTERS_PER_LINE - 1) / COUNTERS_PER_LINE * COUNTERS_PER_LINE;
    size = counts->workers * counts->stride * sizeof *counts->rows;
    counts->rows = aligned_alloc(CACHE_LINE, size);
    if (counts->rows)
        memset(counts->rows, 0, size);
    return counts->rows != NULL;
}

bool branch_counts_create(struct branch_counts **counts, const esp_model *model, size_t workers)
{
    size_t count = esp_model_info(model)->nodes;
    struct branch_counts *made = calloc(1, sizeof *made + count * sizeof made->nodes[0]);

    *counts = made;
    if (!made)
        return false;
    atomic_init(&made->holders, 1);
    made->workers = workers;
    made->count = count;
    bool good = make_rows(made);
    for (size_t i = 0; i < count && good; i++)
        good = copy_node(&made->nodes[i], esp_model_node(model, i));
    if (good)
        return true;
    destroy(made);
    *counts = NULL;
    return false;
}

bool branch_counts_fits(const struct branch_counts *counts, const esp_model *model)
{
    if (esp_model_info(model)->nodes != counts->count)
        return false;
    for (size_t i = 0; i < counts->count; i++)
        if (strcmp(counts->nodes[i].path, esp_model_node(model, i)->path))
            return false;
    return true;
}

struct branch_counts *branch_counts_keep(struct branch_counts *counts)
{
    if (counts)
        atomic_fetch_add(&counts->holders, 1);
    return counts;
}

void branch_counts_release(struct branch_counts *counts)
{
    if (counts && atomic_fetch_sub(&counts->holders, 1) == 1)
        destroy(counts);
}

/* Nobody else writes the counter, so it need not be one step; that it is atomic lets others read it. */
static void count(atomic_uint_least64_t *counter)
{
    uint64_t value = atomic_load_explicit(counter, memory_order_relaxed);
    atomic_store_explicit(counter, value + 1, memory_order_relaxed);
}

void branch_counts_add(struct branch_counts *counts, size_t worker, const struct esp_job *job)
{
    atomic_uint_least64_t *row = counts->rows + worker * counts->stride;

    for (size_t node = 0; node < counts->count;) {
        if (esp_job_ran(job, node))
            count(&row[node++]);
        else
            node = counts->nodes[node].subtree_end; /* nothing below runs either */
    }
}

size_t branch_counts_nodes(const struct branch_counts *counts)
{
    return counts->count;
}

const char *branch_counts_path(const struct branch_counts *counts, size_t node)
{
    return counts->nodes[node].path;
}

uint64_t branch_counts_sum(const struct branch_counts *counts, size_t node)
{
    uint64_t sum = 0;
    for (size_t worker = 0; worker < counts->workers; worker++)
        sum += atomic_load_explicit(&counts->rows[worker * counts->stride + node], memory_order_relaxed);
    return sum;
}
