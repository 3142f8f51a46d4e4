"""Tools for espalier's model directories: training, measuring, reading, writing, converting and running them.

Making networks:

    example_pictures    draws pictures to try the tools with
    new_recipe          a recipe and a taxonomy from folders of pictures
    recipe              what to train, and how: the file that the training follows
    pictures            labelled pictures, and how they are varied
    tree_network        a tree network that can be trained
    normalised_start    starts it from a trained one, with batch normalisation
    branch_choice       which branches a picture runs in training, where not all of them
    distillation        what a trained network says, as something to learn from
    imitate             teaches a slimmer trunk to put out what a trained one does
    train               the training
    calibration         what a score says about the chance that the picture shows the category
    export              a trained network as a model directory
    convert_reference   a model directory of the reference network
    import_trunk        a model directory of a ResNet, VGG or MobileNetV2, from PyTorch or ONNX, and of branches
    torchvision_trunks  reads such networks from a state dict (for import_trunk)
    onnx_trunk          reads them from an ONNX graph (for import_trunk)
    trunk_source        what these two give: layers with folded weights
    branch_definitions  puts a tree of branches below them

Measuring them:

    engine              runs the program for measurements
    hard_pictures       makes pictures hard to recognise
    results             writes RESULTS.md
    plots               its plots
    accuracy            measures a model directory with PyTorch
    golden              writes golden vectors for the engine's tests
    layer_networks      small networks that use every layer and option of the format

Model directories:

    safetensors_file    the weights' file format
    description         model.json: the tree, its checks, and the tensors that it needs
    model_directory     a whole model directory, read and written
    network             runs a model directory with PyTorch, as a reference for the engine
"""
