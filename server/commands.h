/* The commands of the program. Each gets its arguments, argv[0] being the command's name, and returns the exit status:
 * 0, 1 for a failure, 2 for a command line that cannot be understood. They print; the library does not. */
#ifndef ESPALIER_SERVER_COMMANDS_H
#define ESPALIER_SERVER_COMMANDS_H

int esp_command_serve(int argc, char **argv);
int esp_command_classify(int argc, char **argv);
int esp_command_inspect(int argc, char **argv);
int esp_command_cutout(int argc, char **argv);
int esp_command_bench(int argc, char **argv);
int esp_command_evaluate(int argc, char **argv);
int esp_command_probe(int argc, char **argv);

#endif
