"""One VGG16 classifier on one processor, through medsynth and through what else a user could install.

    python -m benchmarks.inference fp32.onnx int8.onnx --data ct/ --out benchmarks/results/inference

Both files are artefacts of ``medsynth export``; Keras and PyTorch get their weights from the first one. Nothing is
installed or downloaded: an engine whose package is absent is skipped by name.

- Every engine lives in a process of its own. OpenMP, TBB, Eigen and onnxruntime each keep a pool of threads, and in
  one process their settings and their waiting threads would meet. The others sleep while one has its turn.
- Engines take turns in an order that is drawn anew each round, so that what else happens on the machine, or on its
  host, meets all of them. Ratios are made within a round; told are their median and its 95 % bootstrap interval.
- Before any clock starts, each engine's probabilities are compared with those of medsynth's fp32 file; an engine that
  disagrees is not timed.
- One turn of each round measures the peak of the machine (``medsynth.benchmark.peak``): the better of a large matrix
  product and a large convolution. The share of it compares the fastest run of a turn with the fastest run of the probe
  in the same round.
- From the pixels (uint8, decoded beforehand) to probabilities in numpy; only plain onnxruntime gets pixels that were
  made float32, coloured and shifted before the clock starts, as its tutorials do.
"""
