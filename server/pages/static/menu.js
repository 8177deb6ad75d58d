// On a phone a menu is a strip above the page, which may begin left of where we are.
for (const current of document.querySelectorAll(".side [aria-current], .top nav [aria-current]")) {
  const strip = current.parentElement;
  const [here, whole] = [current.getBoundingClientRect(), strip.getBoundingClientRect()];
  strip.scrollLeft += here.left - whole.left - (whole.width - here.width) / 2;
}
