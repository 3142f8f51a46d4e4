/* The inside of a model: the tree with programs and packed weights, and the plan of an instance's memory.
 *
 * An instance's arena for one image holds, in this order: the input; and for each depth of the tree the output of the
 * node that runs there, and the patches of that output which its children share. A node's output must stay until its
 * subtree is done, and nodes of one depth run one after the other, so a place for each depth serves every cutout. The
 * same plan serves a thread that takes over a subtree: it reads the parent's output and patches, and has an arena of
 * its own for the depths below. The scratch that a running segment needs is there once, as segments run image by image.
 * So is what a search keeps, as searches run image by image: the outputs of all inner branches. */
#ifndef ESP_CORE_MODEL_H
#define ESP_CORE_MODEL_H

#include "core/kernels/kernels.h"
#include "core/program.h"
#include "espalier/model.h"

struct esp_node {
    struct esp_node_info info;
    struct esp_program program;
    const float *head_weight; /* [channels]; NULL without a head */
    float head_bias;
    /* A child's first convolution whose patches of this node's output are laid out once for all children that share
     * them; NULL where there is none. */
    const struct esp_conv *shared_patches;
    size_t kept_offset; /* floats, an inner branch's place in what an instance keeps of a search (see core/search.h) */
    size_t weights_begin, weights_end; /* bytes: its part of the packed weights, head included */
};

struct esp_model {
    struct esp_model_info info;
    const struct esp_kernels *kernels;
    char *name, *version;
    struct esp_node *nodes;
    size_t *category_nodes;    /* [categories] */
    size_t *by_path, *by_name; /* [nodes], sorted */
    uint8_t *weights;          /* read-only after loading */
    size_t depths;             /* levels, the trunk's included */
    size_t *output_offset;     /* [depths], floats into an image's arena */
    size_t *patches_offset;    /* [depths], likewise: of the patches of the output of that depth */
    size_t scratch, kept;      /* floats, of an instance */
    size_t arena;              /* floats, of each image */
};

#endif
