"""Draw docs/images/first_map.jpg: a made scene, its label map, and the polygons over a detail.

python docs/images/first_map.py SCENE PRODUCT TARGET
"""

import sys

import matplotlib.pyplot as plt
import numpy as np
import rasterio
from matplotlib.colors import to_rgb
from rasterio.plot import plotting_extent

import geoalps as ga

scene, product, target = sys.argv[1], ga.Product.open(sys.argv[2]), sys.argv[3]
classes, objects, labels = product.classes(), product.objects(), product.labels()
colours = np.ones((256, 3))
colours[classes.class_id] = [to_rgb(colour) for colour in classes.colour]
with rasterio.open(scene) as source:
    image, extent = source.read([1, 2, 3]).transpose(1, 2, 0), plotting_extent(source)
figure, axes = plt.subplots(1, 3, figsize=(15, 5.2))
axes[0].imshow(image, extent=extent)
axes[0].set_title("scene")
axes[1].imshow(colours[labels.to_numpy()], extent=extent)
axes[1].set_title(f"labels.tif: {len(classes)} pseudo-classes")
axes[2].imshow(image, extent=extent)
objects.plot(ax=axes[2], color=objects.class_id.map(classes.set_index("class_id").colour), alpha=0.45)
objects.boundary.plot(ax=axes[2], color="white", linewidth=0.5)
width, height = extent[1] - extent[0], extent[3] - extent[2]
axes[2].set_xlim(extent[0] + 0.3 * width, extent[0] + 0.55 * width)
axes[2].set_ylim(extent[2] + 0.45 * height, extent[2] + 0.7 * height)
axes[2].set_title("labels.gpkg over a detail")
for ax in axes:
    ax.set_axis_off()
figure.tight_layout()
figure.savefig(target, dpi=100, pil_kwargs={"quality": 85})
