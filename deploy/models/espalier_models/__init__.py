"""Tools for espalier's model directories: reading, writing, converting and running them with PyTorch.

    safetensors_file    the weights' file format
    description         model.json: the tree, its checks, and the tensors that it needs
    model_directory     a whole model directory, read and written
    network             runs a model directory with PyTorch, as a reference for the engine
    convert_reference   makes a model directory of the reference network
    import_trunk        makes a model directory of a ResNet, VGG or MobileNetV2, from PyTorch or ONNX, and of branches
    torchvision_trunks  reads such networks from a state dict (for import_trunk)
    onnx_trunk          reads them from an ONNX graph (for import_trunk)
    trunk_source        what these two give: layers with folded weights
    branch_definitions  puts a tree of branches below them
    layer_networks      small networks that use every layer and option of the format
    golden              writes golden vectors for the engine's tests
    accuracy            measures a model directory on an archive of pictures
"""
