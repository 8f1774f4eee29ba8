# SPDX-License-Identifier: Apache-2.0
"""The same model in ONNX Runtime and, through libpare.so, in pare: what the benchmarks share."""
import ctypes
import time

import numpy
import onnxruntime

RANK = 8
PAUSE = 0.1  # seconds
TYPES = {1: "float32", 2: "uint8", 3: "int8", 6: "int32", 7: "int64", 9: "bool", 11: "float64"}


class Tensor(ctypes.Structure):
    _fields_ = [("name", ctypes.c_char_p), ("type", ctypes.c_int), ("rank", ctypes.c_int),
                ("dims", ctypes.c_int64 * RANK), ("data", ctypes.c_void_p),
                ("size_bytes", ctypes.c_size_t)]

    def array(self):
        """A view of the session's memory."""
        shape = tuple(self.dims[: self.rank])
        bytes_ = (ctypes.c_char * self.size_bytes).from_address(self.data)
        return numpy.frombuffer(bytes_, TYPES[self.type]).reshape(shape)


class SessionOptions(ctypes.Structure):
    _fields_ = [("batch", ctypes.c_int64), ("images", ctypes.c_void_p)]


class Library:
    """libpare.so; one context."""

    def __init__(self, path, threads=1):
        self.c = ctypes.CDLL(path)
        self.c.pare_context_message.restype = ctypes.c_char_p
        self.c.pare_model_input_name.restype = ctypes.c_char_p
        self.c.pare_session_input.restype = self.c.pare_session_output.restype = ctypes.c_bool
        self.context = ctypes.c_void_p()
        self.c.pare_context_new(ctypes.byref(self.context))
        self.c.pare_context_set_threads(self.context, threads)

    def check(self, status):
        if status != 0:
            raise RuntimeError(self.c.pare_context_message(self.context).decode())


class Pare:
    """A model in pare. `shapes` fixes inputs by name."""

    def __init__(self, library, path, shapes):
        self.library = library
        self.model, self.session = ctypes.c_void_p(), ctypes.c_void_p()
        c = library.c
        library.check(c.pare_model_load(ctypes.byref(self.model), library.context, path.encode()))
        k = 0
        while (name := c.pare_model_input_name(self.model, k)) is not None:
            dims = shapes[name.decode()]
            library.check(c.pare_model_set_input_shape(
                self.model, k, len(dims), (ctypes.c_int64 * len(dims))(*dims)))
            k += 1
        options = SessionOptions(dims[0] if dims else 0, None)
        library.check(c.pare_session_new(ctypes.byref(self.session), self.model,
                                         ctypes.byref(options)))
        self.inputs = self._tensors(c.pare_session_input)
        self.outputs = self._tensors(c.pare_session_output)

    def _tensors(self, get):
        found, tensor = {}, Tensor()
        while get(ctypes.byref(tensor), self.session, len(found)):
            found[tensor.name.decode()] = tensor.array()
            tensor = Tensor()
        return found

    def set(self, feeds):
        for name, value in feeds.items():
            self.inputs[name][...] = value

    def run(self):
        self.library.check(self.library.c.pare_session_run(self.session))

    def results(self):
        return [value.copy() for value in self.outputs.values()]

    def close(self):
        self.library.c.pare_session_free(self.session)
        self.library.c.pare_model_free(self.model)


class Ort:
    """The same interface for ONNX Runtime."""

    def __init__(self, path, threads=1):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        self.session = onnxruntime.InferenceSession(path, options,
                                                    providers=["CPUExecutionProvider"])

    def set(self, feeds):
        self.feeds = feeds

    def run(self):
        self.output = self.session.run(None, self.feeds)

    def results(self):
        return self.output

    def close(self):
        self.session = None


def shapes_of(path, batch=1, size=224):
    """Input shapes by name with the batch and open sides fixed."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    shapes = {}
    for value in session.get_inputs():
        dims = list(value.shape)
        for axis, dim in enumerate(dims):
            if not isinstance(dim, int) or dim <= 0:
                dims[axis] = batch if axis == 0 else 3 if axis == 1 else size
        shapes[value.name] = dims
    return shapes


def random_feeds(shapes, seed=1):
    rng = numpy.random.default_rng(seed)
    return {name: rng.standard_normal(dims).astype("float32") for name, dims in shapes.items()}


def interleaved(runners, rounds, warm_up=3, clock=time.thread_time):
    """Seconds of each runner's run, rounds x runners: they take turns, since what the clock and
    neighbours do to one they then do to the others. With one thread the processor time of the calling
    thread is what counts, which leaves out when others ran. With several, threads of the one that ran
    before still spin for a while: they are let fall asleep, and a run that does not count wakes the
    others."""
    times = numpy.zeros((rounds, len(runners)))
    for r in range(-warm_up, rounds):
        for k, runner in enumerate(runners):
            if clock is not time.thread_time:
                time.sleep(PAUSE)
                runner.run()
            start = clock()
            runner.run()
            if r >= 0:
                times[r, k] = clock() - start
    return times


def spread(ratios):
    """Median and quartiles as text."""
    low, middle, high = numpy.quantile(ratios, [0.25, 0.5, 0.75])
    return f"{middle:.2f} ({low:.2f} .. {high:.2f})"
