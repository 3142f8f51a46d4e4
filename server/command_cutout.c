/* espalier cutout: some categories as a network of their own, for devices that never need the rest. */
#include "espalier/export.h"
#include "server/commands.h"
#include "server/figures.h"
#include "server/models/model_choice.h"
#include "server/spoken.h"

#include <getopt.h>
#include <stdio.h>

static const char usage[] =
    "Usage: espalier cutout --categories LIST -o DIR [options]\n"
    "\n"
    "Writes a model directory that holds the trunk and the branches of some categories, and\n"
    "nothing else. It works as any other does (--model DIR), and its scores have the same bits\n"
    "as those of the whole network.\n"
    "\n"
    "  --categories LIST  these: cat,animal/dog/chihuahua\n"
    "  -o, --output DIR   where to; not there yet, or empty\n"
    "  --name NAME        the new network's name (the old one's with -cutout behind it)\n"
    "  --model DIR        the model directory that it is taken from (the bundled network)\n"
    "  --help             this text\n";

struct command {
    struct model_choice choice;
    struct spoken spoken; /* the categories as text, to be read once the model is there */
    struct esp_export export;
    esp_model *model;
    struct options options;
};

/* The exit status. */
static int wrong(const char *what)
{
    fprintf(stderr, "espalier cutout: %s; --help tells more\n", what);
    return 2;
}

/* Returns -1 to go on, or the exit status. */
static int parse(struct command *command, int argc, char **argv)
{
    static const struct option flags[] = {{"categories", required_argument, NULL, 'c'},
                                          {"output", required_argument, NULL, 'o'},
                                          {"name", required_argument, NULL, 'n'},
                                          {"model", required_argument, NULL, 'm'},
                                          {"help", no_argument, NULL, 'h'},
                                          {0}};

    for (int flag; (flag = getopt_long(argc, argv, "o:", flags, NULL)) != -1;) {
        switch (flag) {
        case 'c': spoken_say(&command->spoken, "categories", optarg); break;
        case 'o': command->export.directory = optarg; break;
        case 'n': command->export.name = optarg; break;
        case 'm': command->choice.directory = optarg; break;
        case 'h': fputs(usage, stdout); return 0;
        default: fputs("espalier cutout --help lists the options\n", stderr); return 2;
        }
    }
    if (optind < argc)
        return wrong("there is an argument too much; categories are given by --categories");
    if (command->spoken.count == 0)
        return wrong("say by --categories which ones the cutout is for");
    return command->export.directory ? -1 : wrong("say by -o where the cutout is to be written");
}

static void print_row(const char *what, uint64_t part, uint64_t whole)
{
    char of_part[FIGURE_MAX], of_whole[FIGURE_MAX];

    printf("  %-12s%10s  of %9s%9.1f %% left out\n", what, figure_write(part, of_part), figure_write(whole, of_whole),
           100 * figure_excluded(part, whole));
}

static void print_written(const struct command *command, const struct esp_exported *exported)
{
    const struct esp_model_info *whole = esp_model_info(command->model);
    struct esp_cost cost = esp_cutout_cost(command->options.cutout);

    printf("%s, version %s (%s)\n", exported->name, whole->version, command->export.directory);
    print_row("categories", cost.categories, whole->categories);
    print_row("branches", cost.branches, whole->branches);
    print_row("MACs", cost.macs, whole->macs);
    print_row("parameters", cost.parameters, whole->parameters);
    print_row("bytes", exported->bytes, exported->bytes_full);
}

/* The exit status. */
static int fail(const struct esp_error *err)
{
    fprintf(stderr, "espalier cutout: %s\n", err->text);
    return err->status == ESP_ERROR_ARGUMENT ? 2 : 1;
}

static int export(struct command *command)
{
    struct esp_exported exported;
    struct esp_error err = {0};

    if (spoken_read(&command->spoken, &command->options, &err) != ESP_OK ||
        esp_cutout_export(command->options.cutout, &command->export, &exported, &err) != ESP_OK)
        return fail(&err);
    print_written(command, &exported);
    return 0;
}

int esp_command_cutout(int argc, char **argv)
{
    struct command command = {0};
    struct esp_error err = {0};
    char directory[BUNDLED_PATH_MAX];
    int status = parse(&command, argc, argv);

    if (status >= 0)
        return status;
    command.export.source = directory;
    if (model_choice_load(&command.choice, &command.model, directory, &err) == ESP_OK &&
        esp_cutout_create(&command.options.cutout, command.model, &err) == ESP_OK)
        status = export(&command);
    else
        status = fail(&err);
    esp_cutout_destroy(&command.options.cutout);
    esp_model_destroy(&command.model);
    return status;
}
