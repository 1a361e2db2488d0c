"""S3 Vectors: buckets and indexes of vectors in memory, searched exactly.

moto has this service without QueryVectors, pages, limits and most checks, and keeps vectors as
Python lists, which take eight times the memory.
"""

from local_aws.s3_vectors.service import S3Vectors as S3Vectors
