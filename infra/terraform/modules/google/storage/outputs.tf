output "bucket" {
  description = "Bucket of GENAI_FILES_URL."
  value       = google_storage_bucket.files.name
}
