/* Every kernel set against the plain C one, at odd sizes; and the planner of memory. */
#include "core/kernels/kernels.h"
#include "core/memory.h"
#include "core/place.h"
#include "core/program.h"
#include "tests/support/support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { IMAGES = 3 };

/* amx_bf16.c compiled with tests/support/emulated_amx.h: its packing and its loops run wherever AVX512_BF16 does. */
extern const struct esp_kernels esp_kernels_emulated_amx;

struct fixture {
    float *weights, *bias, *in[IMAGES], *addend[IMAGES], *out[IMAGES];
};

static struct esp_conv random_conv(uint64_t *random)
{
    struct esp_conv conv = {.groups = 1 + (uint32_t)random_below(random, 3)};
    struct esp_window *w = &conv.window;

    conv.in.channels = conv.groups * (1 + (uint32_t)random_below(random, 9));
    conv.out.channels = conv.groups * (1 + (uint32_t)random_below(random, 20));
    w->kernel_h = 1 + (uint32_t)random_below(random, 4);
    w->kernel_w = 1 + (uint32_t)random_below(random, 4);
    w->stride_h = 1 + (uint32_t)random_below(random, 3);
    w->stride_w = 1 + (uint32_t)random_below(random, 3);
    w->padding_h = (uint32_t)random_below(random, 4);
    w->padding_w = (uint32_t)random_below(random, 4);
    w->dilation_h = 1 + (uint32_t)random_below(random, 2);
    w->dilation_w = 1 + (uint32_t)random_below(random, 2);
    conv.in.height = w->dilation_h * w->kernel_h + (uint32_t)random_below(random, 17);
    conv.in.width = w->dilation_w * w->kernel_w + (uint32_t)random_below(random, 17);
    conv.out.height = (conv.in.height + 2 * w->padding_h - w->dilation_h * (w->kernel_h - 1) - 1) / w->stride_h + 1;
    conv.out.width = (conv.in.width + 2 * w->padding_w - w->dilation_w * (w->kernel_w - 1) - 1) / w->stride_w + 1;
    conv.activation = (enum esp_activation)random_below(random, 5);
    conv.exact = random_below(random, 3) == 0;
    return conv;
}

/* Stride 1 and a padding that keeps the shape, which kernels treat in a way of their own. */
static struct esp_conv shape_keeping_conv(uint64_t *random)
{
    struct esp_conv conv = random_conv(random);
    struct esp_window *w = &conv.window;

    w->stride_h = w->stride_w = 1;
    w->kernel_h = 1 + 2 * (uint32_t)random_below(random, 4);
    w->kernel_w = 1 + 2 * (uint32_t)random_below(random, 4);
    w->padding_h = w->dilation_h * (w->kernel_h - 1) / 2;
    w->padding_w = w->dilation_w * (w->kernel_w - 1) / 2;
    conv.in.height = 1 + (uint32_t)random_below(random, 12); /* also smaller than the kernel */
    conv.in.width = 1 + (uint32_t)random_below(random, 12);
    conv.out.height = conv.in.height;
    conv.out.width = conv.in.width;
    return conv;
}

/* Sixteenths below 1 in magnitude: BF16 holds them, so that sets of both precisions compute the same. An exact
 * convolution has to get along with any values. */
static float *random_array(uint64_t *random, const struct esp_conv *conv, size_t count)
{
    float *values = esp_alloc(count, sizeof *values);
    random_floats(random, values, count);
    for (size_t i = 0; i < count && !conv->exact; i++)
        values[i] = roundf(values[i] * 16) / 16;
    return values;
}

static struct fixture make_fixture(uint64_t *random, const struct esp_conv *conv)
{
    struct fixture made = {.weights = random_array(random, conv, (size_t)esp_conv_weights(conv)),
                           .bias = random_array(random, conv, conv->out.channels)};
    for (int i = 0; i < IMAGES; i++) {
        made.in[i] = random_array(random, conv, esp_shape_elements(conv->in));
        made.addend[i] = random_array(random, conv, esp_shape_elements(conv->out));
        made.out[i] = random_array(random, conv, esp_shape_elements(conv->out)); /* what was there must not show */
    }
    return made;
}

static void free_fixture(struct fixture *made)
{
    esp_free(made->weights);
    esp_free(made->bias);
    for (int i = 0; i < IMAGES; i++) {
        esp_free(made->in[i]);
        esp_free(made->addend[i]);
        esp_free(made->out[i]);
    }
}

enum { FENCE = 64 };

/* Memory that is NaN everywhere, with a fence behind. */
static uint8_t *fenced(size_t bytes)
{
    uint8_t *memory = esp_alloc(bytes + FENCE, 1);
    memset(memory, 0xff, bytes + FENCE);
    return memory;
}

static void free_fenced(uint8_t *memory, size_t bytes)
{
    for (size_t i = 0; i < FENCE; i++)
        ck_assert_uint_eq(memory[bytes + i], 0xff);
    esp_free(memory);
}

enum { ADDEND = 1, PATCHES = 2, SCALE = 4, PARTS = 8 };

/* All outputs, or part by part. */
static void run_parts(const struct esp_kernels *kernels, const struct esp_conv *conv, struct esp_images *images, bool cut,
                      uint8_t *workspace)
{
    size_t parts = cut && kernels->conv_parts ? kernels->conv_parts(conv) : 0;

    images->parts = parts > 5 ? 5 : parts;
    for (images->part = 0; images->part < (parts ? images->parts : 1); images->part++)
        kernels->conv(conv, images, workspace);
}

/* Runs `count` images from `first` on. */
static void run(const struct esp_kernels *kernels, struct esp_conv conv, struct fixture *made, size_t first,
                size_t count, int with)
{
    static const float scale[IMAGES] = {1, 0.5f, 3};
    struct esp_images images = {.count = count,
                                .in = (const float *const *)made->in + first,
                                .addend = with & ADDEND ? (const float *const *)made->addend + first : NULL,
                                .scale = with & SCALE ? scale + first : NULL,
                                .out = made->out + first};
    size_t weight_bytes = kernels->conv_weight_bytes(&conv), workspace_bytes = kernels->conv_workspace_bytes(&conv);
    size_t patch_bytes = kernels->conv_patch_bytes(&conv);
    uint8_t *packed = fenced(weight_bytes), *workspace = fenced(workspace_bytes), *patches[IMAGES];

    kernels->conv_pack(&conv, made->weights, packed);
    conv.weights = packed;
    conv.bias = made->bias;
    for (size_t i = 0; i < count; i++) {
        patches[i] = fenced(patch_bytes);
        if (patch_bytes)
            kernels->conv_patches(&conv, images.in[i], patches[i], workspace);
    }
    if (with & PATCHES && patch_bytes)
        images.patches = (const void *const *)patches;
    run_parts(kernels, &conv, &images, with & PARTS, workspace);
    free_fenced(packed, weight_bytes);
    free_fenced(workspace, workspace_bytes);
    for (size_t i = 0; i < count; i++)
        free_fenced(patches[i], patch_bytes);
}

static void expect_close(const float *values, const float *plain, size_t count, float tolerance, const char *name,
                         int number)
{
    for (size_t i = 0; i < count; i++)
        if (!(fabsf(values[i] - plain[i]) <= tolerance * (1 + fabsf(plain[i]))))
            ck_abort_msg("%s, case %d: %g instead of %g", name, number, (double)values[i], (double)plain[i]);
}

/* All images together agree with plain C; one alone, its patches laid out before or not, part by part, has the same
 * bits. */
static void compare(const struct esp_kernels *kernels, struct esp_conv conv, uint64_t *random, int number)
{
    struct fixture made = make_fixture(random, &conv);
    size_t elements = esp_shape_elements(conv.out);
    int with = number % 8;
    float tolerance = kernels->precision == ESP_PRECISION_BF16 && conv.exact ? 3e-3f : 1e-4f;
    float *plain[IMAGES];

    run(&esp_kernels_plain, conv, &made, 0, IMAGES, with);
    for (int i = 0; i < IMAGES; i++) {
        plain[i] = made.out[i];
        made.out[i] = random_array(random, &conv, elements);
    }
    run(kernels, conv, &made, 0, IMAGES, with);
    for (int i = 0; i < IMAGES; i++)
        expect_close(made.out[i], plain[i], elements, tolerance, kernels->name, number);
    float *batched = made.out[1];
    made.out[1] = random_array(random, &conv, elements);
    run(kernels, conv, &made, 1, 1, (with ^ PATCHES) | PARTS);
    ck_assert_mem_eq(batched, made.out[1], elements * sizeof *batched);
    esp_free(batched);
    for (int i = 0; i < IMAGES; i++)
        esp_free(plain[i]);
    free_fixture(&made);
}

/* Shapes of real networks, for which chunks of patches, several tiles of channels and odd widths matter. */
static struct esp_conv usual_conv(int number)
{
    static const struct {
        uint32_t in, out, extent, kernel, stride, groups;
    } rows[] = {{3, 24, 64, 3, 2, 1},  {24, 24, 32, 3, 1, 1}, {48, 96, 16, 3, 2, 1}, {96, 64, 8, 3, 1, 1},
                {64, 12, 8, 3, 1, 1},  {33, 17, 7, 3, 1, 1},  {40, 40, 14, 5, 1, 40}, {64, 128, 14, 1, 1, 1},
                {64, 200, 1, 1, 1, 1}, {7, 29, 6, 6, 1, 1},   {32, 64, 28, 3, 1, 32}, {20, 31, 2, 3, 1, 1},
                {16, 48, 13, 3, 1, 4}, {24, 30, 11, 3, 3, 1}, {8, 8, 57, 7, 2, 1},    {1, 1, 1, 1, 1, 1}};
    enum { ROWS = sizeof rows / sizeof rows[0] };
    struct esp_conv conv = {.groups = rows[number % ROWS].groups, .activation = (enum esp_activation)(number % 5)};
    uint32_t kernel = rows[number % ROWS].kernel, extent = rows[number % ROWS].extent;
    uint32_t stride = rows[number % ROWS].stride, padding = kernel == extent ? 0 : kernel / 2;

    conv.exact = number % 3 == 0;
    conv.window = (struct esp_window){kernel, kernel, stride, stride, padding, padding, 1, 1};
    conv.in = (struct esp_shape){rows[number % ROWS].in, extent, extent};
    conv.out = (struct esp_shape){rows[number % ROWS].out, (extent + 2 * padding - kernel) / stride + 1, 0};
    conv.out.width = conv.out.height;
    return conv;
}

static void compare_all(const struct esp_kernels *kernels)
{
    uint64_t random = 3;

    for (int n = 0; n < 600; n++)
        compare(kernels, n % 4 < 2 ? random_conv(&random) : shape_keeping_conv(&random), &random, n);
    for (int n = 0; n < 48; n++)
        compare(kernels, usual_conv(n), &random, n);
}

START_TEST(test_kernels_agree_with_plain_c)
{
    for (const char *const *name = esp_kernels_names(); *name; name++) {
        const struct esp_kernels *kernels;
        ck_assert_int_eq(esp_kernels_find(&kernels, *name, ESP_PRECISION_AUTO, NULL), ESP_OK);
        ck_assert_str_eq(kernels->name, *name);
        compare_all(kernels);
        ck_assert_uint_gt(kernels->burst(), 0);
        printf("%s agrees with plain C\n", *name);
    }
}
END_TEST

START_TEST(test_kernels_of_other_machines)
{
    static const char *const names[] = {"amx-bf16", "avx512-bf16", "avx512", "avx2"};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const struct esp_kernels *kernels;
        struct esp_error err = {0};
        if (esp_kernels_find(&kernels, names[i], ESP_PRECISION_AUTO, &err) == ESP_OK)
            continue;
        ck_assert_int_eq(err.status, ESP_ERROR_UNSUPPORTED);
        printf("SKIP: the kernels %s are not tested: %s\n", names[i], err.text);
    }
}
END_TEST

START_TEST(test_amx_kernels_on_emulated_tiles)
{
    if (!esp_kernels_emulated_amx.supported()) {
        printf("SKIP: the AMX kernels on emulated tiles need AVX512_BF16\n");
        return;
    }
    compare_all(&esp_kernels_emulated_amx);
}
END_TEST

/* BF16 keeps 8 bits: an error of a 256th of what is added up, and the rounding errors of weights go into neighbours. */
START_TEST(test_bf16_is_as_exact_as_it_can_be)
{
    const struct esp_kernels *kernels;
    uint64_t random = 23;

    if (esp_kernels_find(&kernels, "auto", ESP_PRECISION_BF16, NULL) != ESP_OK) {
        printf("SKIP: this machine has no BF16 kernels\n");
        return;
    }
    struct esp_conv conv = usual_conv(3);
    conv.activation = ESP_ACTIVATION_NONE;
    conv.exact = false;
    struct fixture made = make_fixture(&random, &conv);
    size_t elements = esp_shape_elements(conv.out), inputs = esp_shape_elements(conv.in);
    random_floats(&random, made.weights, (size_t)esp_conv_weights(&conv));
    random_floats(&random, made.in[0], inputs);
    float *plain = made.out[1], *sums = made.out[2];
    run(kernels, conv, &made, 0, 1, 0);
    float *bf16 = made.out[0];
    made.out[0] = plain;
    run(&esp_kernels_plain, conv, &made, 0, 1, 0);
    for (size_t i = 0; i < inputs; i++)
        made.in[0][i] = fabsf(made.in[0][i]);
    for (size_t i = 0; i < esp_conv_weights(&conv); i++)
        made.weights[i] = fabsf(made.weights[i]);
    made.out[0] = sums;
    run(&esp_kernels_plain, conv, &made, 0, 1, 0);
    for (size_t i = 0; i < elements; i++)
        ck_assert_float_le(fabsf(bf16[i] - plain[i]), fabsf(sums[i]) / 256 + 1e-3f);
    made.out[0] = bf16;
    free_fixture(&made);
}
END_TEST

START_TEST(test_places_do_not_overlap)
{
    uint64_t random = 17;

    for (int round = 0; round < 200; round++) {
        struct esp_interval list[40];
        size_t count = random_below(&random, 40), total, sum = 0;
        for (size_t i = 0; i < count; i++) {
            list[i].first = random_below(&random, 30);
            list[i].last = list[i].first + random_below(&random, 6);
            list[i].size = 16 * (1 + random_below(&random, 50));
            sum += list[i].size;
        }
        ck_assert(esp_place_intervals(list, count, &total));
        ck_assert_uint_le(total, sum);
        for (size_t i = 0; i < count; i++) {
            ck_assert_uint_le(list[i].offset + list[i].size, total);
            for (size_t j = 0; j < i; j++) {
                bool in_time = list[i].first <= list[j].last && list[j].first <= list[i].last;
                bool apart =
                    list[i].offset + list[i].size <= list[j].offset || list[j].offset + list[j].size <= list[i].offset;
                ck_assert(!in_time || apart);
            }
        }
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("kernels");
    TCase *tests = tcase_create("kernels");

    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, test_kernels_agree_with_plain_c);
    tcase_add_test(tests, test_kernels_of_other_machines);
    tcase_add_test(tests, test_amx_kernels_on_emulated_tiles);
    tcase_add_test(tests, test_bf16_is_as_exact_as_it_can_be);
    tcase_add_test(tests, test_places_do_not_overlap);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
