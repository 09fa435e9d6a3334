// Runs before anything is drawn, so that a page which was set to dark does not begin light. No module, because modules run later.
try {
  const theme = localStorage.getItem("theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch { /* A browser that keeps nothing for pages follows the system. */ }
