"""Gives back what it gets."""


class TritonPythonModel:
    def execute(self, requests):
        import triton_python_backend_utils as pb  # exists only inside Triton

        inputs = [pb.get_input_tensor_by_name(request, "IN").as_numpy() for request in requests]
        return [pb.InferenceResponse([pb.Tensor("OUT", array)]) for array in inputs]
