// On a phone the menu beside a page is a strip above it, which may begin left of where we are.
document.querySelector(".side [aria-current]")?.scrollIntoView({ inline: "center", block: "nearest" });
