/* The program: finds the command and hands over. */
#include "server/commands.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

struct command {
    const char *name;
    int (*run)(int argc, char **argv);
};

static const struct command commands[] = {{"serve", esp_command_serve},     {"classify", esp_command_classify},
                                          {"inspect", esp_command_inspect}, {"cutout", esp_command_cutout},
                                          {"bench", esp_command_bench},     {"evaluate", esp_command_evaluate},
                                          {"probe", esp_command_probe}};

static const char usage[] = "Usage: espalier COMMAND [OPTION...]\n"
                            "\n"
                            "Runs tree-shaped convolutional networks, only the branches that a task needs.\n"
                            "\n"
                            "  serve     answer HTTP requests\n"
                            "  classify  classify image files\n"
                            "  inspect   show a network's tree and what each branch costs\n"
                            "  cutout    write a smaller network that holds some categories alone\n"
                            "  bench     show where the time goes, layer by layer\n"
                            "  evaluate  measure a network on labelled pictures\n"
                            "  probe     ask a daemon whether it is ready\n"
                            "\n"
                            "espalier COMMAND --help says more; espalier --version tells the version.\n";

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "";

    signal(SIGPIPE, SIG_IGN); /* a reader that went away is an error of write(), not the end of the process */
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        if (!strcmp(name, commands[i].name))
            return commands[i].run(argc - 1, argv + 1);
    if (!strcmp(name, "--help") || !strcmp(name, "-h") || !strcmp(name, "help")) {
        fputs(usage, stdout);
        return 0;
    }
    if (!strcmp(name, "--version")) {
        puts("espalier " ESP_VERSION);
        return 0;
    }
    if (*name)
        fprintf(stderr, "espalier: there is no command '%s'\n\n", name);
    fputs(usage, stderr);
    return 2;
}
