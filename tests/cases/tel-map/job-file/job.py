def map(key, dims, value, context):
    context.write((key, dims[5]), len(value))
    context.write(key, 1)
