/* The table of kernel sets, and what a kernel set has to offer.
 *
 * A tensor is planar FP32, [channels][height][width], aligned to ESP_ALIGNMENT. All functions are thread-safe and
 * allocate nothing: what they need beside input and output lies in the caller's workspace. The result for one image
 * must have the same bits whatever other images stand in the call (law 1). */
#ifndef ESP_CORE_KERNELS_H
#define ESP_CORE_KERNELS_H

#include "core/layer.h"
#include "espalier/error.h"
#include "espalier/model.h"

/* A convolution, or a linear layer as the convolution that its input just fits. */
struct esp_conv {
    struct esp_shape in, out;
    struct esp_window window;
    uint32_t groups;
    bool exact; /* every score depends on it: a set of BF16 products has to be as exact as FP32 here */
    enum esp_activation activation;
    const void *weights; /* packed by the kernel set that runs it */
    const float *bias;   /* [out.channels]; zeros where the layer has none */
};

/* The images of one call: `count` pointers each. */
struct esp_images {
    size_t count;
    const float *const *in;
    const void *const *patches;  /* laid out by conv_patches for this convolution or one that shares; NULL for none */
    const float *const *addend;  /* of out's shape, added before the activation; NULL for none */
    const float *scale;          /* [count], an attention weight that multiplies what comes out; NULL for 1 */
    float *const *out;
    size_t part, parts; /* only this one of so many parts of the outputs (see conv_parts); 0 and 0 for all of them */
};

struct esp_kernels {
    const char *name;
    enum esp_precision precision;
    bool fast_bf16;          /* a BF16 set that is worth choosing by itself */
    bool (*supported)(void); /* by this machine */
    void (*start)(void);     /* called whenever a model chooses the set; NULL for nothing to do */

    /* Bytes of a convolution's packed weights, and of the workspace that laying out patches and running it need.
     * Shapes are within espalier/limits.h; a workspace that overflows is SIZE_MAX. */
    size_t (*conv_weight_bytes)(const struct esp_conv *conv);
    size_t (*conv_workspace_bytes)(const struct esp_conv *conv);

    /* Packs weights [out, in/groups, KH, KW] once, when a model is loaded. */
    void (*conv_pack)(const struct esp_conv *conv, const float *weights, void *packed);

    /* The patches of an image are what its pixels multiply the weights with, in the set's own layout. Siblings whose
     * convolutions share them (esp_conv_shares_patches) need them laid out but once. Bytes of one image's, or 0 where
     * the set has no use for that; SIZE_MAX for an overflow. */
    size_t (*conv_patch_bytes)(const struct esp_conv *conv);
    void (*conv_patches)(const struct esp_conv *conv, const float *in, void *patches, void *workspace);

    /* out = scale * activation(conv(in) + bias + addend) for every image. */
    void (*conv)(const struct esp_conv *conv, const struct esp_images *images, void *workspace);

    /* Into how many parts of about the same work the outputs of one image can be cut, for as many threads, each with a
     * workspace of its own: any number up to this may stand in esp_images. NULL: 1 for all. */
    size_t (*conv_parts)(const struct esp_conv *conv);

    /* Multiplications that this set makes for each of a convolution's MACs: below 1 where it has found a way to do with
     * fewer, above where one product is made of several or lanes stay empty by design. NULL: 1 for all. */
    double (*conv_products)(const struct esp_conv *conv);

    /* Some milliseconds of the set's innermost loop on data in the first cache; returns its multiply-accumulates. The
     * yardstick of `espalier bench`. */
    uint64_t (*burst)(void);
};

extern const struct esp_kernels esp_kernels_plain, esp_kernels_openblas, esp_kernels_avx2, esp_kernels_avx512,
    esp_kernels_avx512_bf16, esp_kernels_amx_bf16;

/* The kernel set called `name`, or for "auto" the fastest one of that precision that this machine supports. An automatic
 * precision takes BF16 only where it is several times as fast: with AMX. */
enum esp_status esp_kernels_find(const struct esp_kernels **kernels, const char *name, enum esp_precision precision,
                                 struct esp_error *err);

/* Multiply-accumulates and weights of a convolution, bias not included. */
uint64_t esp_conv_macs(const struct esp_conv *conv);
uint64_t esp_conv_weights(const struct esp_conv *conv);

/* The first of `count` pieces that belongs to the images' part; the first of the next part is the end. */
static inline size_t esp_part_begin(const struct esp_images *images, size_t part, size_t count)
{
    return images->parts ? count * part / images->parts : part ? count : 0;
}

/* Whether two convolutions of one input take the same patches from it, whatever the kernel set. */
bool esp_conv_shares_patches(const struct esp_conv *a, const struct esp_conv *b);

/* conv_weight_bytes and conv_pack of the sets that take the weights as they are stored. */
size_t esp_conv_plain_bytes(const struct esp_conv *conv);
void esp_conv_plain_pack(const struct esp_conv *conv, const float *weights, void *packed);

/* conv_patch_bytes of the sets that read the input itself. */
size_t esp_conv_no_patches(const struct esp_conv *conv);

#endif
