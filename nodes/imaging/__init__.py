"""Operations on image tensors: resize, blur, composite, encode, tile."""
