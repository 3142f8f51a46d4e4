/* The limits of the library, all in one place. What the daemon bounds (queue, body, connections) is a setting of its
 * own, see server/config/settings.h. */
#ifndef ESPALIER_LIMITS_H
#define ESPALIER_LIMITS_H

enum {
    ESP_NAME_MAX = 64,           /* bytes of a node's, layer's or model's name */
    ESP_LABEL_MAX = 256,         /* bytes of a label */
    ESP_PATH_MAX = 512,          /* bytes of a category path */
    ESP_DEPTH_MAX = 16,          /* levels below the trunk */
    ESP_NODES_MAX = 16384,       /* nodes of a tree */
    ESP_LAYERS_MAX = 1024,       /* layers of one segment, those inside residual blocks included */
    ESP_RESIDUAL_DEPTH_MAX = 8,  /* residual blocks inside each other */
    ESP_CHANNELS_MAX = 65536,    /* channels of a tensor */
    ESP_EXTENT_MAX = 16384,      /* height, width, kernel, stride or padding */
    ESP_INPUT_EXTENT_MAX = 4096, /* height or width of a network's input */
    ESP_BATCH_MAX = 64,          /* images in one run of an instance */
    ESP_SUGGESTIONS_MAX = 3      /* names offered for an unknown one */
};

#define ESP_WEIGHT_MAX     16.0f               /* largest attention weight */
#define ESP_TENSOR_MAX     ((size_t)1 << 26)   /* elements of one tensor */
#define ESP_SHARED_PATCHES_MAX ((size_t)1 << 20) /* bytes of patches that siblings share; larger ones are laid in pieces */
#define ESP_ARENA_MAX      ((size_t)1 << 28)   /* floats of activations for one image */
#define ESP_POOL_WORK_MAX  1e10                /* values that a pooling layer reads */
#define ESP_MACS_MAX       ((uint64_t)1 << 50) /* multiply-accumulates of one network */
#define ESP_MODEL_JSON_MAX ((size_t)64 << 20)  /* bytes of model.json and of the safetensors header */
#define ESP_MODEL_FILE_MAX ((size_t)4 << 30)   /* bytes of model.safetensors */

#endif
