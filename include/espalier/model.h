/* A network: its tree, what each node costs, and its packed weights.
 *
 * A model is loaded once, never changes afterwards and may be used by any number of threads and instances at a time
 * without locking. Whoever created it destroys it, after the last instance and cutout made for it.
 *
 * Nodes are numbered in depth-first order; node 0 is the trunk. The subtree of node i is the range
 * [i, node(i)->subtree_end). Categories (leaves) are numbered in the same order, from 0: the order of all scores.
 *
 * MACs are those of direct convolution and of linear layers, OH*OW*OC*(IC/groups)*KH*KW, padding included, whatever
 * kernel runs them; parameters are weights and biases. */
#ifndef ESPALIER_MODEL_H
#define ESPALIER_MODEL_H

#include "espalier/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct esp_model esp_model;

struct esp_shape {
    uint32_t channels, height, width;
};

struct esp_input_info {
    struct esp_shape shape; /* channels is 3: red, green, blue */
    float mean[3], std[3];  /* a value is (pixel / 255 - mean) / std */
};

/* Of a category: the chance that a picture shows it at all is 1 / (1 + exp(-(slope * score + offset))). */
struct esp_calibration {
    double slope, offset; /* both finite, slope > 0 */
};

struct esp_node_info {
    const char *path;                   /* "animal/cat/tabby"; "trunk" for node 0 */
    const char *name;                   /* the last part of the path */
    const char *label;                  /* the text for people */
    const char *id;                     /* what it is called elsewhere, such as a WordNet id; NULL without one */
    size_t parent;                      /* its parent's number; 0 for the trunk itself */
    size_t subtree_end;                 /* one past the last node of its subtree */
    size_t category;                    /* a leaf's category number, SIZE_MAX for inner nodes */
    size_t categories;                  /* leaves in its subtree */
    unsigned depth;                     /* 0 for the trunk */
    bool head;                          /* has a score of its own (every leaf has) */
    bool monotone;                      /* a leaf that keeps law 3: ends in ReLU or ReLU6, no negative head weight */
    struct esp_calibration calibration; /* a leaf's, where the network is calibrated; otherwise zeros */
    struct esp_shape output;
    uint64_t macs, parameters;           /* of its segment, without head */
    uint64_t head_macs, head_parameters; /* 0 without a head */
};

struct esp_model_info {
    const char *name, *version;
    struct esp_input_info input;
    size_t nodes, categories;
    size_t branches;           /* nodes - 1 */
    uint64_t macs, parameters; /* all categories, no group scores */
    bool monotone;             /* every leaf is */
    bool calibrated;           /* every leaf has a calibration; otherwise none has */
    const char *kernels;       /* the kernel set that runs it: "avx512", ... */
    const char *precision;     /* of its products, "fp32" or "bf16"; sums are always FP32 */
    size_t weight_bytes;       /* packed weights, one copy for all instances */
    size_t activation_bytes;   /* of an instance for each image of its batch */
    size_t workspace_bytes;    /* of an instance, whatever its batch */
};

/* What products are computed in. Scores, sums and activations are FP32 in any case. */
enum esp_precision {
    ESP_PRECISION_AUTO, /* BF16 where the CPU has AMX, FP32 elsewhere */
    ESP_PRECISION_FP32,
    ESP_PRECISION_BF16
};

struct esp_model_options {
    const char *kernels; /* "auto", or a name from esp_kernels_names(); one that is named decides the precision, too */
    enum esp_precision precision;
};

void esp_model_options_default(struct esp_model_options *options);

/* Loads the model directory `directory` (see deploy/models/README.md). Nothing in it is trusted. `options` may be NULL.
 * On success *model is the new model; otherwise it is NULL and `err` names the node and the tensor that is wrong. */
enum esp_status esp_model_load(esp_model **model, const char *directory, const struct esp_model_options *options,
                               struct esp_error *err);

/* Frees the model and sets the pointer to NULL. A NULL model is fine. */
void esp_model_destroy(esp_model **model);

/* Both live as long as the model. `node` must be below info->nodes. */
const struct esp_model_info *esp_model_info(const esp_model *model);
const struct esp_node_info *esp_model_node(const esp_model *model, size_t node);

/* The node number of a category number below info->categories. */
size_t esp_model_category_node(const esp_model *model, size_t category);

/* Finds the node called `name` (`length` bytes; need not end with 0): a path, or a name that is unique in the tree, or
 * "trunk". An unknown name is ESP_ERROR_UNKNOWN_NAME, and the text offers the nearest ones; a name that several nodes
 * have is ESP_ERROR_NAME, and the text lists paths that would do. Allocates nothing. */
enum esp_status esp_model_find(const esp_model *model, const char *name, size_t length, size_t *node,
                               struct esp_error *err);

/* The nodes whose name or path is nearest to `name` by edit distance, best first, at most ESP_SUGGESTIONS_MAX and
 * none that is no more alike than chance. Returns how many were written. Allocates nothing. */
size_t esp_model_suggest(const esp_model *model, const char *name, size_t length, size_t *nodes);

/* Names of the kernel sets that this machine can run, the fastest first, ended by NULL. */
const char *const *esp_kernels_names(void);

#endif
