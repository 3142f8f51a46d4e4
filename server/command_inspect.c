/* espalier inspect: the tree with what each node costs, in a form that a person likes to read. */
#include "espalier/cutout.h"
#include "server/commands.h"
#include "server/figures.h"
#include "server/models/model_choice.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char usage[] = "Usage: espalier inspect [options]\n"
                            "\n"
                            "Prints the tree of a network with the cost of each node: its own MACs and parameters\n"
                            "(segment, and a category's head), and what a cutout of everything below it costs,\n"
                            "trunk and path included, beside the whole network.\n"
                            "\n"
                            "  --model DIR       the model directory (the bundled network)\n"
                            "  --kernels NAME    the kernels that compute (auto)\n"
                            "  --precision WORD  what they multiply in: fp32, bf16 or auto (auto)\n"
                            "  --leaves          list every category, also where all of a group cost the same\n"
                            "  --help            this text\n";

struct options {
    struct model_choice choice;
    bool leaves, colour;
};

enum { NAME_COLUMNS = 44 };

static struct esp_cost cutout_cost(const esp_model *model, size_t node)
{
    const char *path = esp_model_node(model, node)->path;
    struct esp_cost cost = {0};
    esp_cutout *cutout;

    if (esp_cutout_create(&cutout, model, NULL) != ESP_OK)
        return cost;
    esp_cutout_select(cutout, path, strlen(path), NULL);
    esp_cutout_close(cutout, NULL);
    cost = esp_cutout_cost(cutout);
    esp_cutout_destroy(&cutout);
    return cost;
}

/* A category's head always runs with it; a group's only where its score is asked for. */
static void print_row(const struct options *options, const esp_model *model, size_t node, const char *branches,
                      const char *name)
{
    const struct esp_model_info *whole = esp_model_info(model);
    const struct esp_node_info *info = esp_model_node(model, node);
    bool leaf = info->category != SIZE_MAX;
    char macs[FIGURE_MAX], parameters[FIGURE_MAX], cut[FIGURE_MAX];
    struct esp_cost cost = cutout_cost(model, node);
    int padding = NAME_COLUMNS - figure_columns(branches) - figure_columns(name);

    printf("%s%s%s%s%*s%10s%12s%12s%8.1f %%%8.1f %%\n", branches, options->colour && !leaf ? "\033[1m" : "", name,
           options->colour && !leaf ? "\033[0m" : "", padding > 0 ? padding : 0, "",
           figure_write(info->macs + (leaf ? info->head_macs : 0), macs),
           figure_write(info->parameters + (leaf ? info->head_parameters : 0), parameters),
           figure_write(cost.macs, cut), 100 * figure_excluded(cost.macs, whole->macs),
           100 * figure_excluded(cost.parameters, whole->parameters));
}

/* Whether all children of a node are categories that cost the same, so that one line can stand for them. */
static bool children_alike(const esp_model *model, size_t node)
{
    const struct esp_node_info *first = esp_model_node(model, node + 1);

    for (size_t i = node + 1; i < esp_model_node(model, node)->subtree_end; i++) {
        const struct esp_node_info *info = esp_model_node(model, i);
        if (info->category == SIZE_MAX || info->macs != first->macs || info->parameters != first->parameters)
            return false;
    }
    return true;
}

static void print_children(const struct options *options, const esp_model *model, size_t node, const char *prefix);

static void print_node(const struct options *options, const esp_model *model, size_t node, const char *prefix,
                       bool last)
{
    char branches[128], deeper[128];
    const struct esp_node_info *info = esp_model_node(model, node);

    snprintf(branches, sizeof branches, "%s%s", prefix, last ? "└─ " : "├─ ");
    snprintf(deeper, sizeof deeper, "%s%s", prefix, last ? "   " : "│  ");
    print_row(options, model, node, branches, info->name);
    if (info->category == SIZE_MAX)
        print_children(options, model, node, deeper);
}

static void print_alike(const struct options *options, const esp_model *model, size_t node, const char *prefix)
{
    char branches[128], name[32];

    snprintf(branches, sizeof branches, "%s└─ ", prefix);
    snprintf(name, sizeof name, "%zu categories, each", esp_model_node(model, node)->categories);
    print_row(options, model, node + 1, branches, name);
}

static void print_children(const struct options *options, const esp_model *model, size_t node, const char *prefix)
{
    size_t end = esp_model_node(model, node)->subtree_end;

    if (!options->leaves && end - node > 2 && children_alike(model, node)) {
        print_alike(options, model, node, prefix);
        return;
    }
    for (size_t child = node + 1; child < end; child = esp_model_node(model, child)->subtree_end)
        print_node(options, model, child, prefix, esp_model_node(model, child)->subtree_end == end);
}

static void print_summary(const esp_model *model, const char *directory)
{
    const struct esp_model_info *info = esp_model_info(model);
    char macs[FIGURE_MAX], parameters[FIGURE_MAX];

    printf("%s, version %s (%s)\n", info->name, info->version, directory);
    printf("  input        %u x %u pixels, RGB\n", info->input.shape.width, info->input.shape.height);
    printf("  categories   %zu, in %zu branches\n", info->categories, info->branches);
    printf("  whole        %s MACs, %s parameters\n", figure_write(info->macs, macs),
           figure_write(info->parameters, parameters));
    printf("  kernels      %s, %s\n", info->kernels, info->precision);
    printf("  memory       %.1f MB of weights for all instances; %.2f MB of activations and %.2f MB of workspace for "
           "each\n",
           (double)info->weight_bytes / 1e6, (double)info->activation_bytes / 1e6, (double)info->workspace_bytes / 1e6);
    printf("  attention    raising a category's weight %s its score%s\n", info->monotone ? "never lowers" : "may lower",
           info->monotone ? " (every leaf ends in a ReLU, no head weight is negative)" : "");
    printf("  confidence   %s\n\n", info->calibrated
                                        ? "calibrated: answers say how likely the picture shows a category at all"
                                        : "none: no category has a calibration");
}

static void print_tree(const struct options *options, const esp_model *model)
{
    printf("%-*s%10s%12s%12s%10s%10s\n", NAME_COLUMNS, "", "MACs", "parameters", "cutout", "MACs", "params");
    printf("%-*s%10s%12s%12s%10s%10s\n", NAME_COLUMNS, "node", "its own", "its own", "MACs", "excluded", "excluded");
    print_row(options, model, 0, "", "trunk");
    print_children(options, model, 0, "");
}

/* Returns -1 to go on, or the exit status. */
static int parse(struct options *options, int argc, char **argv)
{
    static const struct option flags[] = {{"model", required_argument, NULL, 'm'},
                                          {"kernels", required_argument, NULL, 'k'},
                                          {"precision", required_argument, NULL, 'p'},
                                          {"leaves", no_argument, NULL, 'l'},
                                          {"help", no_argument, NULL, 'h'},
                                          {0}};

    for (int flag; (flag = getopt_long(argc, argv, "", flags, NULL)) != -1;) {
        switch (flag) {
        case 'm': options->choice.directory = optarg; break;
        case 'k': options->choice.kernels = optarg; break;
        case 'p': options->choice.precision = optarg; break;
        case 'l': options->leaves = true; break;
        case 'h': fputs(usage, stdout); return 0;
        default: fputs("espalier inspect --help lists the options\n", stderr); return 2;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "espalier inspect: \"%s\" is too much; a model directory is given by --model\n", argv[optind]);
        return 2;
    }
    return -1;
}

int esp_command_inspect(int argc, char **argv)
{
    struct options options = {.colour = isatty(STDOUT_FILENO)};
    struct esp_error err = {0};
    char directory[BUNDLED_PATH_MAX];
    esp_model *model;
    int status = parse(&options, argc, argv);

    if (status >= 0)
        return status;
    if (model_choice_load(&options.choice, &model, directory, &err) != ESP_OK) {
        fprintf(stderr, "espalier inspect: %s\n", err.text);
        return err.status == ESP_ERROR_ARGUMENT ? 2 : 1;
    }
    print_summary(model, directory);
    print_tree(&options, model);
    esp_model_destroy(&model);
    return 0;
}
